package main

func stackABI(n int) int

func init() { more = func() int { return stackABI(2) } }
