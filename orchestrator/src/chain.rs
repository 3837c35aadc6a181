//! The chain of executables that led to a task, by name.

use tsem::Cell;
use tsem::Observation;
use tsem::TaskIndex;
use tsem::Value;

/// The programs from the namespace's first to the task's own; a script by its own name.
pub fn names(observation: &Observation, task: TaskIndex) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = task;
    while let Some(row) = observation.tasks.get(at.0 as usize) {
        let Some(exec) = &row.exec else { break };
        names.push(program(&exec.cell));
        // Parents stand before children: a row that points elsewhere would not end.
        if row.parent >= at {
            break;
        }
        at = row.parent;
    }
    names.reverse();
    names
}

/// What an exec ran: the script where there is one, else the file.
pub fn program(exec: &Cell) -> String {
    let mut places = exec.values.iter().filter_map(Value::place);
    places.next_back().map_or_else(String::new, |place| String::from_utf8_lossy(&place.path).into())
}
