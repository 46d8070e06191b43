package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// rawStrings makes kong take arguments as the bytes that they are. Its own
// decoder goes through JSON, which replaces what is not UTF-8: such file names
// could not be given.
func rawStrings() kong.Option {
	return kong.KindMapper(reflect.String, kong.MapperFunc(
		func(ctx *kong.DecodeContext, target reflect.Value) error {
			token, err := ctx.Scan.PopValue("string")
			if err != nil {
				return err
			}
			target.SetString(token.String())
			return nil
		}))
}

// again returns the arguments and the environment with which rmf runs the parsed
// command, as its fields are now, once more. What can come from the environment
// goes there, so that no secret stands in a process list.
func again(command *kong.Context) (args, env []string) {
	node := command.Selected()
	add := func(v *kong.Value, prefix string) {
		switch {
		case len(v.Tag.Envs) > 0:
			env = append(env, v.Tag.Envs[0]+"="+strings.Join(texts(v), ","))
		case v.Target.IsZero():
		case v.Flag != nil:
			args = append(args, prefix+strings.Join(texts(v), ","))
		default:
			args = append(args, texts(v)...)
		}
	}
	args = append(args, node.Name)
	for _, flag := range node.Flags {
		add(flag.Value, "--"+flag.Name+"=")
	}
	args = append(args, "--")
	for _, positional := range node.Positional {
		add(positional, "")
	}
	return args, env
}

// texts returns the value or values of v as they stand on a command line.
func texts(v *kong.Value) []string {
	if values, ok := v.Target.Interface().([]string); ok {
		return values
	}
	return []string{fmt.Sprint(v.Target.Interface())}
}
