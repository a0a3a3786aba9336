module goprog/clock

go 1.21
