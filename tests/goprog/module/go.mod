module goprog/module

go 1.21
