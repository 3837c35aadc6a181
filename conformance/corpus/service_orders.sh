# Orders to a service from outside its namespace.
#
# The service side reads one word a line from a FIFO and appends the outcome to a file; its users write and
# wait. No process is started to wait with: a `sleep` that runs zero times in one run and twice in another
# would be a difference that the service itself does not have.

# orders_open WORKDIR: before the first order, on the service's side.
orders_open() {
    exec 3<>"$1/orders" 4<>"$1/never"
    orders_done="$1/orders.done"
}

# next_order: sets `order`; SIGTERM and SIGINT to the service count as the order to stop.
next_order() {
    read -r -u 3 order || order=stop
}

# order_done: tells the users that the last order was carried out.
order_done() {
    printf '%s\n' "$order" >>"$orders_done"
}

# pause SECONDS: waits without a process; needs orders_open (or users_open).
pause() {
    read -r -t "$1" -u 4 || true
}

# await_gone PATH: until a pid file has been removed by its owner.
await_gone() {
    while [ -e "$1" ]; do pause 0.05; done
}
