import Engine
import Primitives

struct Pause: OrderCommand {
    static let words = "PAUSE"
    static let usage = "[db] [TIMEOUT n]"
    static let takesTimeout = true
    static let doc =
        "Waits until no server works for a client, and keeps new queries waiting until RESUME; "
        + "a cancel request lifts it again."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        if switchboard.mode != .active { return .failed("already suspended/paused") }
        call.log("PAUSE", on: &switchboard, into: &actions)
        if call.argument.isEmpty {
            switchboard.pause(nil, for: call.client, now: call.now, into: &actions)
            return .waits(.pause(nil))
        }
        switch call.database("pause", on: &switchboard, into: &actions) {
        case .failure(let error): return .failed(error.refusal)
        case .success(let database):
            switchboard.pause(database, for: call.client, now: call.now, into: &actions)
            return .waits(.pause(database))
        }
    }
}
