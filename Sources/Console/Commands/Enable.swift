import Engine
import Primitives

struct Enable: OrderCommand {
    static let words = "ENABLE"
    static let usage = "db"
    static let doc = "Undoes DISABLE."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        if call.argument.isEmpty { return .failed("a database is required") }
        call.log("ENABLE", on: &switchboard, into: &actions)
        switch call.database("enable", registering: false, on: &switchboard, into: &actions) {
        case .failure(let error): return .failed(error.refusal)
        case .success(let database):
            switchboard.setDisabled(database, false, into: &actions)
            return .done("ENABLE")
        }
    }
}
