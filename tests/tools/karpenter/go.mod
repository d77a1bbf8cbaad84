// Only the definitions in the source of this module are used, so nothing else is required.
module berth.test/karpenter

go 1.26.0

require sigs.k8s.io/karpenter v1.13.0
