//! Just enough ELF to take a section out of an object and put another in its place. For objects that
//! our own clang wrote; refuses nothing, because it reads nothing hostile.

fn number<const N: usize>(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + N].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// Where the header of the named section stands.
fn header(object: &[u8], name: &str) -> Option<usize> {
    let (start, count) = (number::<8>(object, 40), number::<2>(object, 60));
    let at = |index: usize| start + index * 64;
    let names = number::<8>(object, at(number::<2>(object, 62)) + 24);
    (0..count).map(at).find(|header| {
        let text = &object[names + number::<4>(object, *header)..];
        text.starts_with(name.as_bytes()) && text[name.len()] == 0
    })
}

/// The content of the named section; empty where there is none.
pub(crate) fn section<'a>(object: &'a [u8], name: &str) -> &'a [u8] {
    let Some(header) = header(object, name) else { return &[] };
    let start = number::<8>(object, header + 24);
    &object[start..start + number::<8>(object, header + 32)]
}

/// The object with another content of the named section, if it has that section.
pub(crate) fn with_section(object: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = object.to_vec();
    if let Some(header) = header(object, name) {
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let start = bytes.len() as u64;
        bytes[header + 24..header + 32].copy_from_slice(&start.to_le_bytes());
        bytes[header + 32..header + 40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        bytes.extend_from_slice(content);
    }
    bytes
}
