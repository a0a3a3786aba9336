// A program that starts no process, so that the linker drops the system call stub for it.
package main

func main() { println("small") }
