import Pool
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

    /// A letter between two consoles.
    package mutating func consolePosts(
        _ letter: Letter, to worker: WorkerID, into actions: inout ActionList
    ) {
        post(letter, to: worker, into: &actions)
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

    /// The client's command does not wait any longer; what it asked for goes on all the same.
    package mutating func stopWaiting(_ client: ClientID) { consoleWaits.removeAll { $0.client == client } }

    /// Shuts down while the client waits for the end, and is itself not waited for.
    package mutating func shutDown(
        _ how: ShutdownMode, for client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        consoleWaits.append((client, .shutdown))
        shutDown(how, now: now, into: &actions)
    }

    /// What a waiting command waits for, one sentence each.
    package func obstacles(to wait: ConsoleWait, now: Instant) -> [ByteString] {
        switch wait {
        case .pause(let database):
            return serverIDs.compactMap { server in
                guard database == nil || pools[servers[server].pool].database == database else { return nil }
                return switch roster.state(server) {
                case .active, .testing: obstacle(server, now: now)
                case .idle, .opening, .cancelling, nil: nil
                }
            }
        case .close(let database):
            return serverIDs.compactMap { server in
                guard database == nil || pools[servers[server].pool].database == database else { return nil }
                return servers[server].retirement == nil ? nil : obstacle(server, now: now)
            }
        case .shutdown where shutdown == .waitForServers:
            return serverIDs.map { obstacle($0, now: now) }
        case .shutdown:
            return clientIDs.compactMap { client in
                consoleWaits.contains { $0.client == client && $0.wait == .shutdown } ? nil : obstacle(client)
            }
        case .suspend:
            return clientIDs.compactMap { clients[$0].isCongested ? obstacle($0) : nil }
                + serverIDs.compactMap { servers[$0].isCongested ? obstacle($0, now: now) : nil }
        case .reload:
            return []
        }
    }

    private func obstacle(_ server: ServerID, now: Instant) -> ByteString {
        let pool = servers[server].pool
        let name = databases[pools[pool].database].name.appending("/").appending(users[pools[pool].user].name)
        var text = ByteString("server ").appending(name)
        if servers[server].processID > 0 {
            text = text.appending(ByteString(" with process \(servers[server].processID)"))
        }
        guard let client = servers[server].client else { return text.appending(" is busy on its own") }
        let since = now.since(clients[client].requestAt).wholeSeconds
        return text.appending(" works for ").appending(obstacle(client))
            .appending(ByteString(", whose last request was \(since)s ago"))
    }

    private func obstacle(_ client: ClientID) -> ByteString {
        let user = clients[client].user.map { users[$0].name } ?? "(nouser)"
        let address = clients[client].peer.text(local: clients[client].local)
        return ByteString("client \(clients[client].number), ").appending(user).appending("@").appending(
            address)
    }

    /// These waiting commands will never be done: their clients are told so.
    package mutating func giveUp(_ wait: ConsoleWait) {
        for open in consoleWaits where open.wait == wait {
            consoleNews.append(ConsoleNews(client: open.client, wait: wait, outcome: .cancelled))
        }
        consoleWaits.removeAll { $0.wait == wait }
    }
}
