import Engine
import Primitives
import Session

extension Call {
    /// Logs the command as PgBouncer does: `PAUSE command issued`, `PAUSE 'db' command issued`.
    func log(_ word: ByteString, on switchboard: inout Switchboard, into actions: inout ActionList) {
        var line = word
        if !argument.isEmpty { line = line.appending(" '").appending(argument).appending("'") }
        switchboard.consoleLog(.log, client, line.appending(" command issued"), into: &actions)
    }

    /// The database the argument names, or why the command cannot have it. `verb` is for the console's own.
    func database(
        _ verb: ByteString, registering: Bool = true, on switchboard: inout Switchboard,
        into actions: inout ActionList
    ) -> Result<DatabaseID, ConsoleError> {
        guard
            let database = switchboard.consoleFinds(
                argument, registering: registering, now: now, into: &actions)
        else { return .failure(.init(.noSuchDatabase(argument))) }
        if database == switchboard.consoleDatabase {
            let text = ByteString("cannot ").appending(verb).appending(" admin db: ").appending(argument)
            return .failure(.init(.console(text)))
        }
        return .success(database)
    }
}
