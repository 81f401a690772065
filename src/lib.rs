//! eks-bootstrap takes an existing Amazon EKS cluster from "created" to "load balancers and volumes work".

pub mod policy;
#[cfg(feature = "sandbox")]
pub mod sandbox;
