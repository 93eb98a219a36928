module node-steward/tests/kubelet-tables

go 1.24
