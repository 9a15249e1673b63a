//! The program that verifies, loaded when it is needed. It refuses to know anything else.

fn main() {
    skep_frontend::offer();
}
