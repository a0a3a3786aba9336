// Package broken has what assembly of a package can do to the stacks of its program.
package broken

// SpoilGuard stores into the running goroutine's stack guard what is no guard.
func SpoilGuard()
