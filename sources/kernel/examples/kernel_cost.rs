//! Prints what each program costs the verifier of the kernel that runs, as JSON.

fn main() -> Result<(), kernel_source::KernelError> {
    let costs = kernel_source::cost::measure()?;
    let lines: Vec<String> = costs
        .iter()
        .map(|cost| {
            let kernel_source::cost::Cost { program, verified, instructions } = cost;
            format!("  \"{program}\": [{verified}, {instructions}]")
        })
        .collect();
    println!("{{\n{}\n}}", lines.join(",\n"));
    Ok(())
}
