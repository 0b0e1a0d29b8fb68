import Pool
import Primitives
import Session

/// Idle servers on their way to another worker. A parcel says everything by names and texts, because handles
/// and the numbers of parameters and statements mean nothing there.
extension Switchboard {
    /// Whether a server may travel: clean, nobody's, and nothing about it in doubt (the release rule, I2, and
    /// a little more).
    func isMovable(_ server: ServerID) -> Bool {
        servers[server].isFree && servers[server].client == nil && servers[server].poison == nil
            && servers[server].retirement == nil && servers[server].strayReadies == 0
            && servers[server].errand == .none && !servers[server].needsFence && servers[server].holds.isEmpty
            && servers[server].statements.isSettled
    }

    /// Everything a server is leaves with it; its handle is dead after this.
    mutating func sendAway(
        _ server: ServerID, to worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        precondition(isMovable(server), "a server was sent away that is not free")
        let pool = servers[server].pool
        let parcel = parcel(of: server)
        pools[pool].lists.move(server, to: nil, in: &roster)
        if crew.isMate {
            tellLine(of: pool, now: now, into: &actions)
            databases[pools[pool].database].servers -= 1
            users[pools[pool].user].servers -= 1
        } else {
            let place = worker.place
            pools[pool].lists.lent += 1
            lentServers += 1
            pools[pool].loans.mates[place].lent += 1
            pools[pool].loans.mates[place].servedFirst()
            tellRivals(of: pool, to: worker, now: now, into: &actions)
        }
        lettersSent &+= 1
        serversSent &+= 1
        actions.append(.part(.server(server), actions.write(.server(parcel)), to: worker))
        for statement in servers[server].statements.takeAll() { statements.letGo(statement) }
        forgetUnnamed(of: server)
        parameters.letGo(servers[server].parameters)
        servers.remove(server)
    }

    private func parcel(of server: ServerID) -> ServerParcel {
        ServerParcel(
            pool: label(of: servers[server].pool), number: servers[server].number,
            endpoint: servers[server].endpoint, remote: servers[server].remote, local: servers[server].local,
            encryption: servers[server].encryption, processID: servers[server].processID,
            secret: servers[server].secret, epoch: servers[server].epoch, openedAt: servers[server].openedAt,
            requestAt: servers[server].requestAt, restingSince: servers[server].restingSince, era: era,
            parameters: pairs(of: servers[server].parameters),
            statements: servers[server].statements.inOrderOfUse.map { statements.definition($0) },
            mayHaveUnnamed: servers[server].statements.unnamed.presence != .absent)
    }

    /// A server has come: somebody in line has it, or it is idle here.
    mutating func takeIn(
        _ parcel: ServerParcel, from worker: WorkerID, now: Instant, into actions: inout ActionList
    ) {
        let found =
            crew.isKeeper ? knownPool(parcel.pool) : pool(labelled: parcel.pool, now: now, into: &actions)
        guard let pool = found, let server = insert(parcel, in: pool) else {
            if crew.isMate {
                post(.closed(parcel.pool, wasRetiring: false), to: .keeper, into: &actions)
            } else {
                closedElsewhere(parcel.pool, false, by: worker, now: now, into: &actions)
            }
            return
        }
        actions.append(.adopt(.server(server)))
        if mode == .suspended { hold(server, .suspension, into: &actions) }
        pools[pool].lists.move(server, to: .idle, in: &roster)
        if crew.isKeeper {
            returned(to: pool, from: worker)
            // It may have been what a rival was promised: tell again.
            let place = worker.place
            if pools[pool].loans.mates.indices.contains(place) {
                pools[pool].loans.mates[place].told = nil
            }
            if parcel.era < pools[pool].loans.retiredBefore {
                servers[server].retirement = "database configuration changed"
                if pools[pool].loans.retiringElsewhere > 0 { pools[pool].loans.retiringElsewhere -= 1 }
            }
            if let moved = movedHosts[parcel.endpoint.host], parcel.era < moved.era,
                isElsewhere(server, than: moved.host)
            {
                servers[server].retirement = "obsolete connection"
            }
        } else {
            databases[pools[pool].database].servers += 1
            users[pools[pool].user].servers += 1
            reportAgain(of: pool, now: now, into: &actions)
        }
        if !mayLend(pool), mode != .suspended {
            return closeServer(server, because: "pause mode", now: now, into: &actions)
        }
        if crew.isKeeper, passOn(server, now: now, into: &actions) {
            return tellGiver(worker, of: pool, now: now, into: &actions)
        }
        lendOn(server, now: now, into: &actions)
        if crew.isKeeper { tellGiver(worker, of: pool, now: now, into: &actions) }
        if servers.contains(server), roster.state(server) == .idle {
            servers[server].restingSince = parcel.restingSince
            watchRest(server, now: parcel.restingSince)
        }
    }

    private mutating func insert(_ parcel: ServerParcel, in pool: PoolID) -> ServerID? {
        let set = set(of: parcel.parameters)
        let session = ServerSession(
            number: parcel.number, pool: pool, endpoint: parcel.endpoint, parameters: set,
            now: parcel.openedAt)
        guard let server = servers.insert(session) else {
            parameters.letGo(set)
            return nil
        }
        servers[server].phase = .ready
        servers[server].remote = parcel.remote
        servers[server].local = parcel.local
        servers[server].encryption = parcel.encryption
        servers[server].processID = parcel.processID
        servers[server].secret = parcel.secret
        servers[server].epoch = parcel.epoch
        servers[server].requestAt = parcel.requestAt
        servers[server].restingSince = parcel.restingSince
        for definition in parcel.statements {
            let statement = definition.withView { statements.hold($0) }
            servers[server].statements.parseSent(statement, segment: 0)
            servers[server].statements.confirm(statement)
        }
        if parcel.mayHaveUnnamed {
            servers[server].statements.setUnnamed(ExpectedReply.none, .unknown)
        }
        return server
    }

    // MARK: Parameters by their names

    func pairs(of set: ParameterSetID) -> [(name: ByteString, value: ByteString)] {
        var pairs: [(name: ByteString, value: ByteString)] = []
        parameters.forEach(in: set) { pairs.append(($0, $1)) }
        return pairs
    }

    /// Held.
    mutating func set(of pairs: [(name: ByteString, value: ByteString)]) -> ParameterSetID {
        var set = parameters.empty
        parameters.hold(again: set)
        for (name, value) in pairs {
            guard let index = name.withView({ parameters.reportedIndex($0) }) else { continue }
            set = value.withView { parameters.replacing(set, at: index, with: $0) }
        }
        return set
    }
}
