package main

import (
	"cmp"
	"os"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/remofile/remofile/remote"
)

// filterFlags choose what of a tree takes part. The order of all three on the command line is that
// of the rules.
type filterFlags struct {
	Exclude     ruleFlag `placeholder:"PATTERN" group:"Filter:" help:"Leave out what matches; of --exclude, --include and --exclude-from the first that matches decides."`
	Include     ruleFlag `placeholder:"PATTERN" group:"Filter:" help:"Don't leave out what matches."`
	ExcludeFrom ruleFlag `placeholder:"FILE" group:"Filter:" help:"Leave out what matches a pattern of FILE, one a line; + before one includes, # begins a comment."`
}

// filterHelp is what the help of each command with filterFlags says of them.
const filterHelp = `A pattern matches the end of a path: "*.o" at any depth. With / before it, it
matches the whole path, with / behind it directories only. * ? [a-z] {a,b} are
those of the shell, ** is any number of directories. What is in a directory that
is left out is left out, too.`

// filter returns the filter of all rules, or nil where there are none.
func (f *filterFlags) filter() (*remote.Filter, error) {
	groups := slices.Concat(f.Exclude, f.Include, f.ExcludeFrom)
	if len(groups) == 0 {
		return nil, nil
	}
	slices.SortFunc(groups, func(a, b ruleGroup) int { return cmp.Compare(a.place, b.place) })
	var rules []remote.Rule
	for _, g := range groups {
		rules = append(rules, g.rules...)
	}
	filter, err := remote.NewFilter(rules...)
	if err != nil {
		return nil, usage(err.Error(), "")
	}
	return filter, nil
}

// ruleFlag is a flag of rules that may be given several times.
type ruleFlag []ruleGroup

// ruleGroup are the rules of a flag that was given once.
type ruleGroup struct {
	place int // among all flags of rules
	rules []remote.Rule
}

// ruleFlags decodes flags of rules, whose order among one another kong would lose.
func ruleFlags() kong.Option {
	place := 0
	return kong.TypeMapper(reflect.TypeFor[ruleFlag](), kong.MapperFunc(
		func(ctx *kong.DecodeContext, target reflect.Value) error {
			token, err := ctx.Scan.PopValue("string")
			if err != nil {
				return err
			}
			rules, err := rulesOf(ctx.Value.Name, token.String())
			if err != nil {
				return err
			}
			place++
			target.Set(reflect.Append(target, reflect.ValueOf(ruleGroup{place, rules})))
			return nil
		}))
}

// rulesOf returns the rules of one flag.
func rulesOf(flag, value string) ([]remote.Rule, error) {
	if flag == "exclude-from" {
		f, err := os.Open(value)
		if err != nil {
			return nil, asUsage(err)
		}
		defer f.Close()
		return remote.ReadRules(f, value)
	}
	rule := remote.Rule{Pattern: value, Include: flag == "include"}
	_, err := remote.NewFilter(rule)
	return []remote.Rule{rule}, err
}
