import Engine
import Primitives
import Session

struct Suspend: OrderCommand {
    static let words = "SUSPEND"
    static let doc =
        "Writes what is to be written and stops all reading, until RESUME or until no console is left."

    static func accepts(_ argument: ByteString) -> Bool { argument.isEmpty }

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        if switchboard.mode != .active { return .failed("already suspended/paused") }
        if switchboard.databaseIDs.contains(where: { switchboard.databases[$0].isPaused }) {
            return .failed("cannot suspend with paused databases")
        }
        call.log("SUSPEND", on: &switchboard, into: &actions)
        switchboard.suspend(for: call.client, now: call.now, into: &actions)
        return .waits(.suspend)
    }
}
