//! Which releases of the gateway can work with the same tables. Migrations expand, then contract: a migration adds, so
//! that the releases before it work on, and are started again when a newer one is taken back. One that takes something
//! away, or demands something of rows, says so in its name, which is recorded in the database:
//! `m20270101_000040_contract_000035_drop_visitors` can be used by releases that know 000035 or a later migration, and
//! by none before.

use sea_orm_migration::{
    MigratorTrait,
    prelude::*,
    sea_orm::{ConnectionTrait, EntityTrait},
    seaql_migrations::Entity,
};

use crate::Migrator;

/// A recorded migration that this release cannot work beside.
#[derive(Debug, PartialEq, Eq)]
pub enum Misfit {
    /// A newer release took away what this one needs.
    Contracted {
        /// The migration.
        migration: String,
        /// The newest migration of this release.
        newest: String,
    },
    /// It does not come after the migrations of this release: no newer release made it.
    Foreign {
        /// The migration.
        migration: String,
    },
}

/// The names of the migrations of this release, in order.
pub(crate) fn known() -> Vec<String> {
    Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
}

/// The recorded migrations that this release does not know, and can work beside.
///
/// # Errors
/// If the database fails.
pub async fn judge(db: &impl ConnectionTrait) -> Result<Result<Vec<String>, Misfit>, DbErr> {
    Migrator::install(db).await?;
    let recorded = Entity::find().all(db).await?.into_iter().map(|recorded| recorded.version);
    Ok(judge_names(recorded, &known()))
}

fn judge_names(recorded: impl Iterator<Item = String>, known: &[String]) -> Result<Vec<String>, Misfit> {
    let newest = known.last().map(String::as_str).unwrap_or_default();
    let mut newer: Vec<_> = recorded.filter(|name| !known.contains(name)).collect();
    newer.sort();
    for name in &newer {
        let migration = name.clone();
        let Some((_, rest)) = parts(name).filter(|_| name.as_str() > newest) else {
            return Err(Misfit::Foreign { migration });
        };
        if let Some(needed) = rest.strip_prefix(CONTRACT) {
            let needed = needed.split('_').next().filter(|needed| is_number(needed, 6));
            let own = parts(newest).map(|(number, _)| number);
            if needed.is_none() || own < needed {
                return Err(Misfit::Contracted { migration, newest: newest.to_owned() });
            }
        }
    }
    Ok(newer)
}

/// The beginning of the name of a migration that takes something away, behind its number.
const CONTRACT: &str = "contract_";

/// The number in a name, and what is behind it.
fn parts(name: &str) -> Option<(&str, &str)> {
    let (date, rest) = name.strip_prefix('m')?.split_once('_')?;
    let (number, rest) = rest.split_once('_')?;
    (is_number(date, 8) && is_number(number, 6)).then_some((number, rest))
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A release that knows 000034 and 000035.
    fn judged(recorded: &[&str]) -> Result<Vec<String>, Misfit> {
        let known = ["m20270101_000034_create_a", "m20270101_000035_create_b"].map(str::to_owned);
        judge_names(recorded.iter().map(|&name| name.to_owned()), &known)
    }

    #[test]
    fn what_a_newer_release_added_is_no_obstacle() {
        assert_eq!(judged(&[]), Ok(vec![]));
        assert_eq!(judged(&["m20270101_000034_create_a"]), Ok(vec![]));
        let newer = ["m20270101_000036_create_c", "m20270203_000037_add_contract_to_c"];
        assert_eq!(judged(&[newer[1], "m20270101_000035_create_b", newer[0]]), Ok(newer.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_a_newer_release_took_away_is_an_obstacle_to_those_that_need_it() {
        for fits in ["m20270203_000040_contract_000035_drop_x", "m20270203_000040_contract_000001_drop_x"] {
            assert_eq!(judged(&[fits]), Ok(vec![fits.to_owned()]));
        }
        for name in [
            "m20270203_000040_contract_000036_drop_x",
            "m20270203_000040_contract_drop_x",
            "m20270203_000040_contract_35_drop_x",
            "m20270203_000040_contract_",
        ] {
            let newest = "m20270101_000035_create_b".to_owned();
            let misfit = Misfit::Contracted { migration: name.to_owned(), newest };
            assert_eq!(judged(&["m20270203_000041_create_d", name]), Err(misfit), "{name}");
        }
    }

    #[test]
    fn what_no_newer_release_can_have_made_is_an_obstacle() {
        for name in [
            "m20270101_000033_create_z",
            "m20270101_000035_create_a",
            "m20240101_000001_create_posts",
            "z",
            "",
            "m20270203_36_create_c",
            "m20270203_000036",
            "n20270203_000036_create_c",
        ] {
            assert_eq!(judged(&[name]), Err(Misfit::Foreign { migration: name.to_owned() }), "{name}");
        }
    }

    #[test]
    fn our_own_migrations_have_such_names_and_are_in_order() {
        let known = known();
        assert!(known.is_sorted());
        for name in &known {
            let (_, rest) = parts(name).unwrap();
            let needed = rest.strip_prefix(CONTRACT).map(|needed| needed.split('_').next().unwrap());
            assert!(needed.is_none_or(|needed| is_number(needed, 6)), "{name}");
        }
    }
}
