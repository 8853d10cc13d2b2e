//! Modules of one folder that import each other in a circle: none of them can be read, tested or changed without the
//! others. A file and the folder of the same name count as one; its inner modules are checked separately.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;

/// For each folder, the imports among its modules.
type Graph<'s> = BTreeMap<Vec<&'s str>, BTreeMap<&'s str, BTreeSet<&'s str>>>;

/// The circles, each as a sentence, except for those in `known`: folder, and the modules in order.
pub(crate) fn circles(sources: &[Source], known: &[(&str, &[&str])]) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, mut imports) in graph(sources) {
        // A module without further imports, or that no other imports, is in no circle.
        loop {
            let imported: BTreeSet<_> = imports.values().flatten().copied().collect();
            let importing: BTreeSet<_> =
                imports.iter().filter(|(_, others)| !others.is_empty()).map(|(name, _)| *name).collect();
            let before = imports.len();
            imports.retain(|name, _| imported.contains(name) && importing.contains(name));
            let left: BTreeSet<_> = imports.keys().copied().collect();
            for others in imports.values_mut() {
                others.retain(|other| left.contains(other));
            }
            if imports.len() == before {
                break;
            }
        }
        let (folder, modules): (_, Vec<_>) = (folder.join("::"), imports.keys().copied().collect());
        if !modules.is_empty() && !known.contains(&(folder.as_str(), modules.as_slice())) {
            let arrows = imports.iter().flat_map(|(name, others)| others.iter().map(move |other| (name, other)));
            let arrows: Vec<_> = arrows.map(|(name, other)| format!("{name} → {other}")).collect();
            found.push(format!("{folder}: these import each other in a circle: {}", arrows.join(", ")));
        }
    }
    found
}

/// The circles of `known` that are gone.
pub(crate) fn gone(sources: &[Source], known: &[(&str, &[&str])]) -> Vec<String> {
    let all = circles(sources, &[]);
    let is_gone = |folder: &str| !all.iter().any(|circle| circle.starts_with(&format!("{folder}: ")));
    known.iter().filter(|(folder, _)| is_gone(folder)).map(|(folder, _)| (*folder).to_owned()).collect()
}

fn graph(sources: &[Source]) -> Graph<'_> {
    let modules: BTreeSet<Vec<&str>> = sources.iter().map(|source| segments(&source.module)).collect();
    let mut graph = Graph::new();
    for source in sources {
        let from = segments(&source.module);
        for import in &source.imports {
            let Some(("crate", path)) = import.path.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
                continue;
            };
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let Some(to) = (1..=path.len()).rev().map(|length| &path[..length]).find(|to| modules.contains(*to)) else {
                continue;
            };
            let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            if let (Some(&name), Some(&other)) = (from.get(shared), to.get(shared)) {
                graph.entry(from[..shared].to_vec()).or_default().entry(name).or_default().insert(other);
            }
        }
    }
    graph
}

fn segments(module: &str) -> Vec<&str> {
    module.split("::").filter(|segment| !segment.is_empty()).collect()
}
