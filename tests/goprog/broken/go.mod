module goprog/broken

go 1.21
