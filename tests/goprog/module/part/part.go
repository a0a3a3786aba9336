// Package part doubles numbers.
package part

// Double is twice a number.
func Double(n int) int {
	if n < 0 {
		return -Double(-n)
	}
	return 2 * n
}
