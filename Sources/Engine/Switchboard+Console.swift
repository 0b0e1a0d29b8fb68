package import Primitives
package import Session

/// What the admin console needs of the engine beyond what everybody sees.
extension Switchboard {
    package func isConsole(_ client: ClientID) -> Bool {
        clients.contains(client) && clients[client].phase == .console
    }

    /// One line of the log about a console client.
    package mutating func consoleLog(
        _ level: LogLevel, _ client: ClientID, _ text: ByteString, into actions: inout ActionList
    ) {
        guard clients.contains(client) else { return }
        log(level, client, text, into: &actions)
    }

    /// Ends a console client with a sentence.
    package mutating func consoleRefuses(
        _ client: ClientID, _ refusal: Refusal, now: Instant, into actions: inout ActionList
    ) {
        guard clients.contains(client) else { return }
        refuse(client, refusal, now: now, into: &actions)
    }

    /// The pseudo-database of the console itself.
    package var consoleDatabase: DatabaseID? { consolePool.map { pools[$0].database } }

    /// The database a command names, the console's own included; `registering` makes one that only `*`
    /// covers.
    package mutating func consoleFinds(
        _ name: ByteString, registering: Bool, now: Instant, into actions: inout ActionList
    ) -> DatabaseID? {
        if name == Self.consoleName { return consoleDatabase }
        if registering { return findDatabase(name, now: now, into: &actions) }
        return database(named: name).flatMap { databases[$0].isRemoved ? nil : $0 }
    }

    /// Cancel requests for which there is no room yet: who asks, and in which pool.
    package var cancelsInLine: [(asker: ClientID, pool: PoolID)] {
        waitingCancels.compactMap { waiting in
            guard let asker = waiting.asker, clients.contains(waiting.client),
                let pool = clients[waiting.client].pool
            else { return nil }
            return (asker, pool)
        }
    }

    /// These waiting commands will never be done: their clients are told so.
    package mutating func giveUp(_ wait: ConsoleWait) {
        for open in consoleWaits where open.wait == wait {
            consoleNews.append(ConsoleNews(client: open.client, wait: wait, outcome: .cancelled))
        }
        consoleWaits.removeAll { $0.wait == wait }
    }
}
