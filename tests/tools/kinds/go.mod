// Only the definitions in the sources of these modules are used, so nothing else is required.
module berth.test/kinds

go 1.26.0

require (
	github.com/kserve/kserve v0.16.0
	sigs.k8s.io/gateway-api v1.4.1
)
