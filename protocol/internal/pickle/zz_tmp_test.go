package pickle_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"testing"

	"github.com/remofile/remofile/protocol/internal/pickle"
)

func conv(v any) any {
	switch v := v.(type) {
	case pickle.Tuple:
		o := pickle.Tuple{}
		for _, e := range v {
			o = append(o, conv(e))
		}
		return o
	case pickle.List:
		o := pickle.Tuple{"L"}
		for _, e := range v {
			o = append(o, conv(e))
		}
		return o
	case pickle.Dict:
		o := pickle.Dict{}
		for _, e := range v {
			o = append(o, pickle.Item{e.Key, conv(e.Value)})
		}
		return o
	case pickle.Enum:
		return pickle.Tuple{"E", v.Class, v.Name, v.Number}
	case pickle.Path:
		return pickle.Tuple{"P", string(v)}
	}
	return v
}

func TestZZ(t *testing.T) {
	in, err := os.Open(os.Getenv("ZZIN"))
	if err != nil {
		t.Skip()
	}
	out, _ := os.Create(os.Getenv("ZZIN") + ".out")
	w := bufio.NewWriter(out)
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, 1<<28)
	for sc.Scan() {
		b, _ := hex.DecodeString(sc.Text())
		v, err := pickle.Decode(b, pickle.Limits{})
		if err != nil {
			fmt.Fprintln(w, "ERR", err)
			continue
		}
		fmt.Fprintf(w, "%x\n", appendValue(nil, conv(v)))
	}
	w.Flush()
	out.Close()
}
