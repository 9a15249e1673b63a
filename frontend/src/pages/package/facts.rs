//! What was read from the objects of a version: what they may do, where they run, what they are made of, what can be
//! set. It refuses to fetch and to compute.

use crate::components::table::Table;
use crate::view::compatibility::{Fit, Matrix};
use crate::view::package::PackageView;
use crate::view::permissions::{Permission, Weight};
use crate::words;
use leptos::prelude::*;

pub(super) fn permissions(all: &[Permission]) -> AnyView {
    if all.is_empty() {
        return view! { <p>{words::NO_PERMISSIONS}</p> }.into_any();
    }
    let row = |p: &Permission| {
        let (class, mark, word) = match p.weight {
            Weight::Grave => ("bad", "▲", words::WEIGHT_GRAVE),
            Weight::Notable => ("action", "◆", words::WEIGHT_NOTABLE),
            Weight::Ordinary => ("neutral", "·", words::WEIGHT_ORDINARY),
        };
        view! {
            <tr>
                <td>
                    <span class=format!("mark {class}") title=word>{mark}</span>
                    <span class="unseen">{word} ": "</span>
                    " "
                    {p.what}
                </td>
                <td class="mono">{p.programs.join(", ")}</td>
                <td class="fine">{p.because.clone()}</td>
            </tr>
        }
    };
    let rows = all.iter().map(row).collect_view();
    let heads = vec![words::COL_MAY, words::COL_PROGRAMS, words::COL_BECAUSE];
    view! {
        <p class="fine">{words::PERMISSIONS_LEAD}</p>
        <Table caption=words::PERMISSIONS heads>{rows}</Table>
    }
    .into_any()
}

/// Kernel by architecture, and what asks for it.
pub(super) fn compatibility(matrix: &Matrix) -> AnyView {
    let mut heads = vec![words::COL_KERNEL.to_owned()];
    heads.extend(matrix.architectures.iter().cloned());
    let cell = |fit: &Fit| {
        let (class, mark, word) = match fit {
            Fit::Has => ("good", "✔", words::FIT_HAS),
            Fit::Lacks => ("bad", "✕", words::FIT_LACKS),
            Fit::Unknown => ("neutral", "?", words::FIT_UNKNOWN),
        };
        view! { <td><span class=format!("mark {class}") aria-hidden="true">{mark}</span> " " {word}</td> }
    };
    let rows = matrix.rows.iter().map(|row| {
        let cells = row.fits.iter().map(cell).collect_view();
        view! { <tr><th scope="row">"Linux " {row.kernel.clone()}</th> {cells}</tr> }
    });
    let rows = rows.collect_view();
    let needs = matrix.needs.iter().map(|need| {
        let kernel = need.kernel.clone().unwrap_or_else(|| words::UNKNOWN.to_owned());
        view! {
            <tr>
                <th scope="row" class="mono">{need.program.clone()}</th>
                <td>{kernel}</td>
                <td class="fine">{need.because.clone()}</td>
            </tr>
        }
    });
    let needs = needs.collect_view();
    let needed = vec![words::COL_PROGRAM, words::COL_LOWEST_KERNEL, words::COL_BECAUSE];
    view! {
        <p class="fine">{words::COMPATIBILITY_LEAD}</p>
        <Table caption=words::COMPATIBILITY heads>{rows}</Table>
        <h3>{words::COMPATIBILITY_WHY}</h3>
        <Table caption=words::COMPATIBILITY_WHY heads=needed>{needs}</Table>
    }
    .into_any()
}

/// Programs, maps and variables.
pub(super) fn code(shown: &PackageView) -> AnyView {
    view! {
        <h3>{words::PROGRAMS}</h3>
        {programs(shown)}
        <h3>{words::MAPS}</h3>
        {maps(shown)}
        <h3>{words::GLOBALS}</h3>
        {globals(shown)}
    }
    .into_any()
}

fn programs(shown: &PackageView) -> AnyView {
    let rows = shown.programs.iter().map(|p| {
        view! {
            <tr>
                <th scope="row" class="mono">{p.name.clone()}</th>
                <td>{p.kind.clone()}</td>
                <td class="mono">{p.section.clone()}</td>
                <td class="number">{p.instructions.clone()}</td>
                <td title=p.because.clone()>{p.kernel.clone()} <span class="fine">" " {p.because.clone()}</span></td>
                <td class="mono wrap">{p.helpers.clone()}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = vec![
        words::COL_PROGRAM,
        words::COL_TYPE,
        words::COL_SECTION,
        words::COL_INSTRUCTIONS,
        words::COL_LOWEST_KERNEL,
        words::COL_HELPERS,
    ];
    view! { <Table caption=words::PROGRAMS heads>{rows}</Table> }.into_any()
}

fn maps(shown: &PackageView) -> AnyView {
    if shown.maps.is_empty() {
        return view! { <p>{words::NO_MAPS}</p> }.into_any();
    }
    let rows = shown.maps.iter().map(|m| {
        view! {
            <tr>
                <th scope="row" class="mono">{m.name.clone()}</th>
                <td>{m.kind.clone()}</td>
                <td class="number">{m.entries.clone()}</td>
                <td class="number">{m.key.clone()}</td>
                <td class="number">{m.value.clone()}</td>
                <td>{m.role}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = vec![
        words::COL_MAP,
        words::COL_TYPE,
        words::COL_ENTRIES,
        words::COL_KEY,
        words::COL_VALUE,
        words::COL_USE,
    ];
    view! { <Table caption=words::MAPS heads>{rows}</Table> }.into_any()
}

fn globals(shown: &PackageView) -> AnyView {
    if shown.globals.is_empty() {
        return view! { <p>{words::NO_GLOBALS}</p> }.into_any();
    }
    let rows = shown.globals.iter().map(|g| {
        view! {
            <tr>
                <th scope="row" class="mono">{g.name.clone()}</th>
                <td>{g.ty.clone()}</td>
                <td class="mono">{g.section.clone()}</td>
                <td class="number">{g.size.clone()}</td>
                <td>{g.role}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = vec![
        words::COL_GLOBAL,
        words::COL_TYPE,
        words::COL_SECTION,
        words::COL_SIZE,
        words::COL_USE,
    ];
    view! { <Table caption=words::GLOBALS heads>{rows}</Table> }.into_any()
}

pub(super) fn settings(shown: &PackageView) -> AnyView {
    if shown.settings.is_empty() {
        return view! { <p>{words::NO_SETTINGS}</p> }.into_any();
    }
    let rows = shown.settings.iter().map(|s| {
        view! {
            <tr>
                <th scope="row" class="mono">{s.name.clone()}</th>
                <td>{s.ty.clone()}</td>
                <td>{s.default.clone()}</td>
                <td>{s.range.clone()}</td>
                <td>{s.about.clone()}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let heads = vec![
        words::COL_SETTING,
        words::COL_TYPE,
        words::COL_DEFAULT,
        words::COL_RANGE,
        words::COL_ABOUT,
    ];
    view! { <Table caption=words::CONFIGURATION heads>{rows}</Table> }.into_any()
}
