//! What the objects of a component are called in this cluster, as its release says.

use crate::component::Component;
use crate::error::Result;
use crate::read::kube::KubeRead;
use crate::read::release;

/// The component with the names that its newest revision gave to its objects; without a release those that its chart gives.
///
/// # Errors
/// A record that cannot be read.
pub async fn as_installed(kube: &KubeRead, component: &Component) -> Result<Component> {
    let history = release::history(kube, component.namespace, component.name).await?;
    Ok(history.first().map_or(*component, |latest| component.as_installed(&latest.documents)))
}
