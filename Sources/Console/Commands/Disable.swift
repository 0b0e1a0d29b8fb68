import Engine
import Primitives

struct Disable: OrderCommand {
    static let words = "DISABLE"
    static let usage = "db"
    static let doc = "Refuses new logins to a database; clients that are there go on."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        if call.argument.isEmpty { return .failed("a database is required") }
        call.log("DISABLE", on: &switchboard, into: &actions)
        switch call.database("disable", on: &switchboard, into: &actions) {
        case .failure(let error): return .failed(error.refusal)
        case .success(let database):
            switchboard.setDisabled(database, true, into: &actions)
            return .done("DISABLE")
        }
    }
}
