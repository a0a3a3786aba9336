// Functions of many frame sizes, round the borders between the forms of the stack check. Only their machine code
// matters: what the compiler puts in front of each is compared with what the records say.
package main

//go:noinline
func use(*byte) {}

//go:noinline
func frame0(n int) byte {
	if n > 0 {
		return frame0(n-1) + 1
	}
	return 0
}

//go:noinline
func frame8() byte { var room [8]byte; use(&room[0]); return room[4] }

//go:noinline
func frame64() byte { var room [64]byte; use(&room[0]); return room[32] }

//go:noinline
func frame88() byte { var room [88]byte; use(&room[0]); return room[44] }

//go:noinline
func frame92() byte { var room [92]byte; use(&room[0]); return room[46] }

//go:noinline
func frame96() byte { var room [96]byte; use(&room[0]); return room[48] }

//go:noinline
func frame100() byte { var room [100]byte; use(&room[0]); return room[50] }

//go:noinline
func frame104() byte { var room [104]byte; use(&room[0]); return room[52] }

//go:noinline
func frame108() byte { var room [108]byte; use(&room[0]); return room[54] }

//go:noinline
func frame112() byte { var room [112]byte; use(&room[0]); return room[56] }

//go:noinline
func frame116() byte { var room [116]byte; use(&room[0]); return room[58] }

//go:noinline
func frame120() byte { var room [120]byte; use(&room[0]); return room[60] }

//go:noinline
func frame124() byte { var room [124]byte; use(&room[0]); return room[62] }

//go:noinline
func frame128() byte { var room [128]byte; use(&room[0]); return room[64] }

//go:noinline
func frame132() byte { var room [132]byte; use(&room[0]); return room[66] }

//go:noinline
func frame136() byte { var room [136]byte; use(&room[0]); return room[68] }

//go:noinline
func frame160() byte { var room [160]byte; use(&room[0]); return room[80] }

//go:noinline
func frame1024() byte { var room [1024]byte; use(&room[0]); return room[512] }

//go:noinline
func frame4060() byte { var room [4060]byte; use(&room[0]); return room[2030] }

//go:noinline
func frame4064() byte { var room [4064]byte; use(&room[0]); return room[2032] }

//go:noinline
func frame4068() byte { var room [4068]byte; use(&room[0]); return room[2034] }

//go:noinline
func frame4072() byte { var room [4072]byte; use(&room[0]); return room[2036] }

//go:noinline
func frame4076() byte { var room [4076]byte; use(&room[0]); return room[2038] }

//go:noinline
func frame4080() byte { var room [4080]byte; use(&room[0]); return room[2040] }

//go:noinline
func frame4084() byte { var room [4084]byte; use(&room[0]); return room[2042] }

//go:noinline
func frame4088() byte { var room [4088]byte; use(&room[0]); return room[2044] }

//go:noinline
func frame4092() byte { var room [4092]byte; use(&room[0]); return room[2046] }

//go:noinline
func frame4096() byte { var room [4096]byte; use(&room[0]); return room[2048] }

//go:noinline
func frame4100() byte { var room [4100]byte; use(&room[0]); return room[2050] }

//go:noinline
func frame4104() byte { var room [4104]byte; use(&room[0]); return room[2052] }

//go:noinline
func frame4108() byte { var room [4108]byte; use(&room[0]); return room[2054] }

//go:noinline
func frame5000() byte { var room [5000]byte; use(&room[0]); return room[2500] }

//go:noinline
func frame40000() byte { var room [40000]byte; use(&room[0]); return room[20000] }

func main() {
	_ = frame0(3)
	_ = frame8()
	_ = frame64()
	_ = frame88()
	_ = frame92()
	_ = frame96()
	_ = frame100()
	_ = frame104()
	_ = frame108()
	_ = frame112()
	_ = frame116()
	_ = frame120()
	_ = frame124()
	_ = frame128()
	_ = frame132()
	_ = frame136()
	_ = frame160()
	_ = frame1024()
	_ = frame4060()
	_ = frame4064()
	_ = frame4068()
	_ = frame4072()
	_ = frame4076()
	_ = frame4080()
	_ = frame4084()
	_ = frame4088()
	_ = frame4092()
	_ = frame4096()
	_ = frame4100()
	_ = frame4104()
	_ = frame4108()
	_ = frame5000()
	_ = frame40000()
}
