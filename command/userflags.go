package command

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// members holds members of a session or policy by name, with the values that are sent.
type members map[string]any

// sessionFlags adds the flags that set members of a session. [sessionOf] reads them.
func sessionFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.String("alias", "", "another `NAME` of the user, for people")
	flags.Var(new(rateFlag), "rate", "requests per time, `N/DURATION`: 100/1m, 0.5/1s; none = no limit")
	flags.Var(new(quotaFlag), "quota", "requests per period, `N/DURATION`: 1000/24h; N = never renews; none = no limit")
	flags.Var(new(expiresFlag), "expires", "`TIME`: 2027-01-31T12:00:00Z, a duration from now such as 720h, or never")
	flags.StringArray("api", nil, "`ID[:VERSION,…]` of a granted API; repeatable; replaces all others; '' = all of the org")
	flags.StringArray("policy", nil, "`ID` of a policy; repeatable; replaces all others; '' = none")
	flags.StringArray("tag", nil, "`TAG`; repeatable; replaces all others; '' = none")
	flags.StringArray("meta", nil, "`NAME=VALUE` in meta_data; repeatable; NAME alone removes it")
	flags.Bool("inactive", false, "refuse the user; -inactive=false admits it again")
}

// sessionOf returns the members that the command line sets. before holds the ids of the APIs that the
// user has rights to: -api removes those that it does not name. The URLs and limits of the others
// stay as stored.
func sessionOf(flags *pflag.FlagSet, before []string) (members, error) {
	s := make(members)
	var problem error
	flags.Visit(func(f *pflag.Flag) {
		if err := s.set(flags, f, before); err != nil && problem == nil {
			problem = err
		}
	})
	return s, problem
}

// set adds the members that one flag sets.
func (s members) set(flags *pflag.FlagSet, f *pflag.Flag, before []string) error {
	switch value := f.Value.(type) {
	case *rateFlag:
		s["rate"], s["per"] = value.rate, value.per
	case *quotaFlag:
		s["quota_max"], s["quota_renewal_rate"] = value.max, value.renewal
	case *expiresFlag:
		s["expires"] = value.at(time.Now())
	}
	switch f.Name {
	case "alias":
		s["alias"] = f.Value.String()
	case "inactive":
		s["is_inactive"] = f.Value.String() == "true"
	case "policy":
		s["apply_policies"] = listOf(flags, "policy")
		s["apply_policy_id"] = nil // the server sets it from apply_policies
	case "tag":
		s["tags"] = listOf(flags, "tag")
	case "api":
		return s.setRights(listOf(flags, "api"), before)
	case "meta":
		return s.setMeta(listOf(flags, "meta"))
	}
	return nil
}

// listOf returns the values of a repeatable flag. A single empty value means none.
func listOf(flags *pflag.FlagSet, name string) []string {
	list, err := flags.GetStringArray(name)
	must(err)
	if len(list) == 1 && list[0] == "" {
		return []string{}
	}
	return list
}

func (s members) setRights(named, before []string) error {
	rights := make(members)
	for _, id := range before {
		rights[id] = nil
	}
	for _, text := range named {
		id, versions, limited := strings.Cut(text, ":")
		if id == "" || limited && versions == "" {
			return usage("-api %q: must be ID or ID:VERSION,…", text)
		}
		right := members{"api_id": id}
		if limited {
			right["versions"] = strings.Split(versions, ",")
		}
		rights[id] = right
	}
	s["access_rights"] = rights
	return nil
}

func (s members) setMeta(entries []string) error {
	meta := make(members)
	for _, text := range entries {
		name, value, has := strings.Cut(text, "=")
		switch {
		case name == "":
			return usage("-meta %q: must be NAME=VALUE", text)
		case has:
			meta[name] = value
		default:
			meta[name] = nil
		}
	}
	s["meta_data"] = meta
	return nil
}

// rateFlag is a number of requests per a number of seconds. The zero value is no limit.
type rateFlag struct{ rate, per float64 }

func (f *rateFlag) Set(text string) error {
	if text == "none" {
		*f = rateFlag{}
		return nil
	}
	count, per, err := perDuration(text)
	if err != nil || per == 0 {
		return fmt.Errorf(`want N/DURATION (such as 100/1m) or "none"`)
	}
	*f = rateFlag{count, per.Seconds()}
	return nil
}

func (f *rateFlag) String() string { return rateText(f.rate, f.per) }
func (*rateFlag) Type() string     { return "N/DURATION" }

// quotaFlag is a number of requests per period of a number of seconds; 0 seconds = never renews.
type quotaFlag struct{ max, renewal int64 }

func (f *quotaFlag) Set(text string) error {
	if text == "none" {
		*f = quotaFlag{max: -1}
		return nil
	}
	count, period, err := perDuration(text)
	seconds := int64(period / time.Second)
	if err != nil || count != math.Trunc(count) || count > 1<<53 || time.Duration(seconds)*time.Second != period {
		return fmt.Errorf(`want N/DURATION in whole numbers and seconds (such as 1000/24h), N, or "none"`)
	}
	*f = quotaFlag{int64(count), seconds}
	return nil
}

func (f *quotaFlag) String() string {
	if *f == (quotaFlag{}) {
		return ""
	}
	return quotaText(f.max, f.renewal)
}
func (*quotaFlag) Type() string { return "N/DURATION" }

// perDuration parses N/DURATION, or N alone, which returns per = 0. N and DURATION must be above 0.
func perDuration(text string) (count float64, per time.Duration, err error) {
	number, duration, limited := strings.Cut(text, "/")
	if count, err = strconv.ParseFloat(number, 64); err != nil || !(count > 0) || math.IsInf(count, 0) {
		return 0, 0, strconv.ErrRange
	}
	if !limited {
		return count, 0, nil
	}
	if per, err = time.ParseDuration(duration); err != nil || per <= 0 {
		return 0, 0, strconv.ErrRange
	}
	return count, per, nil
}

// expiresFlag is a time, a duration from now, or never.
type expiresFlag struct {
	text  string
	unix  int64
	after time.Duration
}

func (f *expiresFlag) Set(text string) error {
	*f = expiresFlag{text: text}
	if text == "never" {
		return nil
	}
	if moment, err := time.Parse(time.RFC3339, text); err == nil && moment.Unix() > 0 {
		f.unix = moment.Unix()
		return nil
	}
	var err error
	if f.after, err = time.ParseDuration(text); err != nil || f.after <= 0 {
		return fmt.Errorf(`want a time (such as 2027-01-31T12:00:00Z), a duration (such as 720h) or "never"`)
	}
	return nil
}

// at returns the time in Unix seconds; 0 = never.
func (f *expiresFlag) at(now time.Time) int64 {
	if f.after > 0 {
		return now.Add(f.after).Unix()
	}
	return f.unix
}

func (f *expiresFlag) String() string { return f.text }
func (*expiresFlag) Type() string     { return "TIME" }

// rateText formats a rate in the form of -rate; "" = no limit.
func rateText(rate, per float64) string {
	if rate <= 0 || per <= 0 {
		return ""
	}
	return strconv.FormatFloat(rate, 'f', -1, 64) + "/" + durationText(time.Duration(per*float64(time.Second)))
}

// quotaText formats a quota in the form of -quota; "" = no limit.
func quotaText(maxRequests, renewal int64) string {
	switch {
	case maxRequests <= 0:
		return ""
	case renewal <= 0:
		return strconv.FormatInt(maxRequests, 10)
	}
	return strconv.FormatInt(maxRequests, 10) + "/" + durationText(time.Duration(renewal)*time.Second)
}

// durationText formats a duration without units that are zero: 1h, not 1h0m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
