package check

import "sidekey/auth"

// Observer is told of decisions. It must not block: the reply is written when it returns.
type Observer interface {
	// Wants reports whether Observe is to be called for a verdict. It is called for every
	// request.
	Wants(v auth.Verdict) bool
	// Observe is told of a decision. It must not keep r or any bytes in it: both are used
	// for another request as soon as it returns.
	Observe(r *Record)
}

// SetObservers sets the observers of all decisions from now on.
func (h *Handler) SetObservers(list ...Observer) { h.observers.Store(&list) }

func (h *Handler) observe(r *Record) {
	list := h.observers.Load()
	if list == nil {
		return
	}
	for _, o := range *list {
		if o.Wants(r.Verdict) {
			o.Observe(r)
		}
	}
}
