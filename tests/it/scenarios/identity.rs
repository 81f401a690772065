//! Failure modes of identity: who may assume the role, with which policy, and who owns what.
