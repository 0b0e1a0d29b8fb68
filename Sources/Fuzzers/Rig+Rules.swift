import Engine
import Pool
import Primitives
import Session
import Wire

/// What must hold after every event, judged by what went over the links.
extension Rig {
    /// Whom a server worked for before an event, and what it had been asked.
    struct Assignment {
        let server: Int
        let client: ClientID?
        let epoch: UInt64
        let asked: Int
    }

    func assignments() -> [Assignment] {
        links.indices.compactMap { number in
            guard links[number].isAlive, case .server(let server) = links[number].id,
                board.servers.contains(server)
            else { return nil }
            return Assignment(
                server: number, client: board.servers[server].client, epoch: board.servers[server].epoch,
                asked: links[number].sent.count)
        }
    }

    /// I1: relayed bytes stay between a client and the server it has, or had when the bytes came.
    func checkOwner(_ source: Int, _ target: Int, _ before: [Assignment]) {
        let (server, client) = links[source].isServer ? (source, target) : (target, source)
        guard case .server(let serverID) = links[server].id, case .client(let clientID) = links[client].id
        else { return found("a relay between two links of one kind") }
        if before.contains(where: { $0.server == server && $0.client == clientID }) { return }
        if board.servers.contains(serverID), board.servers[serverID].client == clientID { return }
        // Both may have gone since in the same event; then nothing can be said.
        if board.servers.contains(serverID), board.clients.contains(clientID) {
            found("ownership: a relay between a client and a server that is not its own")
        }
    }

    func check(_ before: [Assignment]) {
        for old in before where old.client != nil && links[old.server].isAlive {
            guard case .server(let server) = links[old.server].id, board.servers.contains(server) else {
                continue
            }
            let isLent =
                board.servers[server].epoch == old.epoch && board.servers[server].client == old.client
            if !isLent { checkRelease(old) }
        }
        var sessions = 0
        board.forEachPool {
            sessions += board.pools[$0].lists.sessions + board.pools[$0].lists[.cancelling].count
        }
        if sessions != board.servers.count {
            found("accounting: \(sessions) servers in the pools, \(board.servers.count) in the table")
        }
    }

    /// I2: a server leaves its client only when nothing is owed and nothing unread.
    private func checkRelease(_ old: Assignment) {
        let link = links[old.server]
        let heard = Cutter(link.heard)
        if !heard.tail.isEmpty {
            return found("release: part of a message is unread: \(heard.tail.shown)")
        }
        guard let last = heard.pieces.lastIndex(where: { $0.kind == 0x5A }) else {
            return found("release: before any ReadyForQuery")
        }
        if heard.pieces[last].bytes != Message.ready {
            return found("release: after \(heard.pieces[last].bytes.shown)")
        }
        for piece in heard.pieces[(last + 1)...] where ![0x4E, 0x53, 0x41].contains(piece.kind) {
            return found("release: unread behind ReadyForQuery: \(piece.bytes.shown)")
        }
        // What was asked before this event, less the StartupMessage.
        let length = link.sent.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let asked = Cutter(Bytes(link.sent.prefix(old.asked).dropFirst(length)))
        if heard.count(of: "G") > 0 || heard.count(of: "W") > 0 { return }
        // Behind an error everything up to Sync is passed over (manual: "Extended Query").
        let owed = asked.count(of: heard.count(of: "E") > 0 ? "S" : "QSF")
        let paid = heard.count(of: "Z") - 1
        if paid < owed { found("release: \(owed) requests, \(paid) answers") }
        // The rest of it may have gone out in this very event.
        if !asked.tail.isEmpty, link.sent.count == old.asked { found("release: half a request was sent") }
    }

    // MARK: At the end

    /// What a client was sent is whole messages of a server's kinds, and no more ends of queries than it
    /// asked for.
    func checkClient(_ number: Int, skipping skipped: Int = 0) {
        let link = links[number]
        guard link.sent.count >= skipped else { return }
        let said = Cutter(Bytes(link.sent.dropFirst(skipped)))
        if said.isBroken { return found("framing: the client was sent a broken message: \(said.tail.shown)") }
        for piece in said.pieces where ServerMessageKind(rawValue: piece.kind) == nil {
            return found("framing: the client was sent \(piece.bytes.shown)")
        }
        let length = link.heard.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let asked = Cutter(Bytes(link.heard.dropFirst(length)))
        let answers = said.count(of: "Z")
        let questions = asked.count(of: "QSF") + 1
        if answers > questions { found("answers: \(questions) ends were asked for, \(answers) came") }
    }

    /// Nobody waits for a message that is longer than any may be.
    func checkWaiting() {
        for link in links where link.isAlive && !link.isPaused && link.kept.count >= 5 {
            let length = link.kept[1..<5].reduce(0) { $0 << 8 | Int($1) }
            if link.isServer, length > Limits.serverMessageBytes + 4 {
                found("bounds: waits for \(length) bytes of a server")
            }
        }
    }

    /// Everybody leaves; nothing may be left of anybody.
    func finish() {
        guard finding == nil, !hasExited else { return }
        for number in links.indices where !links[number].isServer { end(number) }
        settle()
        var rounds = 0
        while finding == nil, let number = links.indices.first(where: { links[$0].isAlive }), rounds < 1000 {
            end(number)
            rounds += 1
        }
        guard finding == nil, !hasExited else { return }
        let left = [
            board.clients.count, board.servers.count, board.statements.count, board.cancelRequests,
            board.consoleClients,
        ]
        if left.contains(where: { $0 != 0 }) {
            found("left behind: clients, servers, statements, cancels, console clients \(left)")
        }
        board.forEachPool {
            let lists = [
                board.pools[$0].lists.sessions, board.pools[$0].lists[.cancelling].count,
                board.pools[$0].waiting.count, board.pools[$0].clients,
            ]
            if lists.contains(where: { $0 != 0 }) { found("left behind in a pool: \(lists)") }
        }
    }

    /// A refused header is quoted as far as it has come, so that this error alone depends on the split.
    private static func withoutQuotes(_ sent: Bytes) -> Bytes {
        let words = Array("SFATAL\0C08P01\0Mbad packet header".utf8)
        guard sent.count > words.count else { return sent }
        for place in 5..<sent.count where sent[place] == 0x53 && sent[place...].starts(with: words) {
            return Bytes(sent.prefix(place - 5))
        }
        return sent
    }

    /// What went over every link, and how it ended.
    var transcript: [String: Bytes] {
        var all: [String: Bytes] = [:]
        for (number, link) in links.enumerated() {
            let name = "\(link.isServer ? "server" : "client") \(number) \(link.ending)"
            all[name] = link.isServer ? link.sent : Self.withoutQuotes(link.sent)
        }
        return all
    }
}

/// Where two transcripts differ; `nil` when they do not.
func difference(_ a: [String: Bytes], _ b: [String: Bytes]) -> String? {
    for name in Set(a.keys).union(b.keys).sorted() {
        guard let first = a[name], let second = b[name] else {
            return "links \(a.keys.sorted()) against \(b.keys.sorted())"
        }
        guard first != second else { continue }
        let place = zip(first, second).prefix { $0 == $1 }.count
        let start = max(0, place - 8)
        return "\(name) from byte \(place): \(Bytes(first.dropFirst(start)).shown) against "
            + Bytes(second.dropFirst(start)).shown
    }
    return nil
}
