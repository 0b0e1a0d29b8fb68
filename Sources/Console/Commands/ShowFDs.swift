import Engine
import Primitives
import Session

/// Part of PgBouncer's online restart: it hands out sockets, cancel keys and passwords.
struct ShowFDs: OrderCommand {
    static let words = "SHOW FDS"
    static let doc = "Open sockets, for handing them to another process; not available yet."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        .failed(
            .console(
                "SHOW FDS is not available", state: "0A000",
                hint: "Sockets are not handed over through the console; see SHOW SOCKETS for what is open."))
    }
}
