package fs_test
import ("testing"
"github.com/hanwen/go-fuse/v2/posixtest")
func TestZZ(t *testing.T){
 for n,f:=range posixtest.All { t.Run(n, func(t *testing.T){ m:=newMount(t, mountRole{}); f(t,m.path)}) }
}
