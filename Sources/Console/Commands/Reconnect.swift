import Engine
import Primitives

struct Reconnect: OrderCommand {
    static let words = "RECONNECT"
    static let usage = "[db]"
    static let doc = "Replaces every server connection as soon as it is free."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        call.log("RECONNECT", on: &switchboard, into: &actions)
        if call.argument.isEmpty {
            switchboard.reconnect(nil, now: call.now, into: &actions)
            return .done("RECONNECT")
        }
        switch call.database("reconnect", on: &switchboard, into: &actions) {
        case .failure(let error): return .failed(error.refusal)
        case .success(let database):
            switchboard.reconnect(database, now: call.now, into: &actions)
            return .done("RECONNECT")
        }
    }
}
