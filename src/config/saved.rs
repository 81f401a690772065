//! A configuration on its way through a saved plan to another machine: what it says of this machine's files and credentials is that
//! machine's to say again, everything else stays.

use std::path::Path;

use super::{Config, helm_bin};
use crate::cli::Global;
use crate::error::{Error, Result};

impl Config {
    /// The same for a file: charts below the working folder are named from there, so that another checkout has them too.
    pub(crate) fn to_be_saved(&self) -> Config {
        let here = std::path::absolute(Path::new(".")).ok();
        let charts = self.charts.as_ref().map(|charts| {
            let below = here.as_ref().and_then(|here| charts.strip_prefix(here).ok());
            below.filter(|below| !below.as_os_str().is_empty()).unwrap_or(charts).to_owned()
        });
        Config { charts, ..self.clone() }
    }

    /// The same with what the flags, and the variables that stand for them, say of this machine: profile, role, helm, kubeconfig
    /// and context, and where the charts are (EKS_BOOTSTRAP_CHARTS).
    ///
    /// # Errors
    /// A value that cannot be used, or charts or a kubeconfig that are not here.
    pub(crate) fn on_this_machine(self, global: &Global) -> Result<Config> {
        let (kubeconfig, context) = match &global.kubeconfig {
            Some(file) => (Some(file.clone()), global.context.clone()),
            None => (self.kubeconfig.clone(), global.context.clone().or_else(|| self.context.clone())),
        };
        let charts = match global.charts.as_ref().or(self.charts.as_ref()) {
            Some(charts) => Some(
                std::path::absolute(charts)
                    .map_err(|source| Error::io(format!("find `{}`", charts.display()), source))?,
            ),
            None => None,
        };
        if let Some(missing) = charts.as_ref().filter(|charts| !charts.exists()) {
            return Err(Error::Usage {
                message: format!("the plan takes its charts from `{}`, which is not there", missing.display()),
                mend: "set EKS_BOOTSTRAP_CHARTS to where the same charts are on this machine".to_owned(),
            });
        }
        // The planner's helm may lie elsewhere here; that it is one of the same version is compared.
        let helm = global.helm.clone().or_else(helm_bin).or_else(|| self.helm.clone().filter(|helm| helm.is_file()));
        let config = Config {
            profile: global.profile.clone().or_else(|| self.profile.clone()),
            assume_role: global.assume_role.clone().or_else(|| self.assume_role.clone()),
            kubeconfig,
            context,
            charts,
            helm,
            ..self
        };
        config.check()?;
        Ok(config)
    }
}
