import Engine
import Primitives

struct WaitClose: OrderCommand {
    static let words = "WAIT_CLOSE"
    static let usage = "[db] [TIMEOUT n]"
    static let takesTimeout = true
    static let doc = "Waits until every server connection that RECONNECT or RELOAD replaces is closed."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        call.log("WAIT_CLOSE", on: &switchboard, into: &actions)
        if call.argument.isEmpty {
            switchboard.waitForClose(nil, for: call.client, now: call.now, into: &actions)
            return .waits(.close(nil))
        }
        switch call.database("wait in", on: &switchboard, into: &actions) {
        case .failure(let error): return .failed(error.refusal)
        case .success(let database):
            switchboard.waitForClose(database, for: call.client, now: call.now, into: &actions)
            return .waits(.close(database))
        }
    }
}
