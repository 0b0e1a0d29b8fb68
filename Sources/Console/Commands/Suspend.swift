import Engine
import Primitives
import Session

/// Part of PgBouncer's online restart, as SHOW FDS is.
struct Suspend: OrderCommand {
    static let words = "SUSPEND"
    static let doc = "Stops all reading and writing, for handing the sockets over; not available yet."

    static func accepts(_ argument: ByteString) -> Bool { argument.isEmpty }

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        if switchboard.mode != .active { return .failed("already suspended/paused") }
        return .failed(
            .console(
                "SUSPEND is not available", state: "0A000",
                hint: "PAUSE waits for transactions to end and keeps new ones waiting."))
    }
}
