//! The settings as flags of the command line, made from the table.

use super::settings::{SETTINGS, Setting};
use super::{CONFIG_VARIABLE, Sources};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;

/// What the command line says about the configuration: a group of flags for clap.
#[derive(Debug, Clone, Default)]
pub struct ConfigFlags {
    config: Option<PathBuf>,
    /// Print the effective configuration instead of starting.
    pub print: bool,
    settings: Vec<(&'static Setting, String)>,
}

impl ConfigFlags {
    /// All sources of a configuration, with the environment of this process.
    pub fn sources(&self) -> Sources {
        Sources {
            config: self.config.clone(),
            // What is not UTF-8 is not ours: names and values of settings are.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            flags: self.settings.clone(),
        }
    }
}

fn plain() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.is_plain())
}

impl clap::Args for ConfigFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").value_name("FILE").help(format!(
            "Configuration in TOML; the variable {CONFIG_VARIABLE} may name it too. Flags win over variables \
             (NARTHEX_LISTEN for --listen), variables over the file"
        ));
        let print = Arg::new("print-config")
            .long("print-config")
            .action(ArgAction::SetTrue)
            .help("Prints the effective configuration, without secrets, and exits");
        let settings = plain().map(|setting| {
            let default = match setting.default {
                "" => String::new(),
                default => format!(" [default: {default}]"),
            };
            let help = setting.help.replace('`', "");
            let flag = Arg::new(setting.key)
                .long(setting.flag())
                .value_name(setting.value_name());
            flag.help(format!("{}{default}", help.trim_end_matches('.')))
        });
        command.arg(config).arg(print).args(settings)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        Ok(Self {
            config: text("config").map(PathBuf::from),
            print: matches.get_flag("print-config"),
            settings: plain()
                .filter_map(|setting| Some((setting, text(setting.key)?)))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
