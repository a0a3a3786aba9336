module goprog/run

go 1.21
