import Engine
import Primitives
import Session

struct Kill: OrderCommand {
    static let words = "KILL"
    static let usage = "[db]"
    static let doc = "Drops all clients and servers at once; nothing goes on until RESUME."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        if switchboard.mode != .active { return .failed("already suspended/paused") }
        call.log("KILL", on: &switchboard, into: &actions)
        if call.argument.isEmpty {
            var used: Set<DatabaseID> = []
            for pool in switchboard.poolIDs { used.insert(switchboard.pools[pool].database) }
            for database in switchboard.databaseIDs
            where used.contains(database) && database != switchboard.consoleDatabase {
                kill(database, &call, on: &switchboard, into: &actions)
            }
            call.memory.killedAll = true
            return .done("KILL")
        }
        switch call.database("kill", on: &switchboard, into: &actions) {
        case .failure(let error): return .failed(error.refusal)
        case .success(let database):
            kill(database, &call, on: &switchboard, into: &actions)
            return .done("KILL")
        }
    }

    private static func kill(
        _ database: DatabaseID, _ call: inout Call, on switchboard: inout Switchboard,
        into actions: inout ActionList
    ) {
        guard switchboard.databases.contains(database) else { return }
        // What PAUSE holds stays its own: only RESUME with the name lifts it.
        let wasPaused = switchboard.databases[database].isPaused
        switchboard.kill(database, because: .databaseRemoved, now: call.now, into: &actions)
        if !wasPaused { call.memory.killed.insert(database) }
    }
}
