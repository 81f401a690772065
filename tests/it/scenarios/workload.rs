//! Failure modes of what runs in the cluster: controllers, webhook, CRDs, network, volumes, storage classes, metrics.
