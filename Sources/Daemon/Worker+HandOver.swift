import CLinux
import Console
import Engine
import EventLoop
import Primitives

/// Both sides of an online restart, as far as sockets are concerned: SHOW FDS in the old process, and taking
/// in what it has told in the new one.
extension Worker where Engine: ~Copyable {
    /// Longest wait for the other process to read a row, in milliseconds. Everything stands still meanwhile.
    private static var rowPatience: Int32 { 5000 }

    // MARK: The old process

    /// Answers SHOW FDS. Each row is one message with one socket attached, because whoever reads it counts on
    /// that.
    mutating func handOver(to console: LinkID, withSockets: Bool, withState: Bool) {
        guard let place = connection(console) else { return }
        // What another process is to read, ours must not.
        if withSockets, ring.isOn {
            settleRequests(place)
            for heirloom in engine.heirlooms(withState: withState) {
                if let link = heirloom.link { leaveRing(link) }
            }
        }
        let rows = fdRows(withState: withState)
        var buffer = ByteBuffer(capacity: 4096)
        FDRow.writeHeader(withState: withState, into: &buffer)
        guard withSockets, place.pointee.owed == nil, !place.pointee.flags.meets(.secured) else {
            for row in rows { row.write(withState: withState, into: &buffer) }
            FDRow.writeEnd(into: &buffer)
            put(buffer.view, to: console)
            return flush()
        }
        let descriptor = place.pointee.descriptor
        var sent = Self.send(buffer.view, -1, over: descriptor)
        for row in rows where sent == 0 {
            buffer.removeAll()
            row.write(withState: withState, into: &buffer)
            sent = Self.send(buffer.view, row.descriptor > 0 ? row.descriptor : -1, over: descriptor)
        }
        if sent == 0 {
            buffer.removeAll()
            FDRow.writeEnd(into: &buffer)
            sent = Self.send(buffer.view, -1, over: descriptor)
        }
        guard sent == 0 else { return fail(console, place, sent) }
        if engine.isSuspended {
            isHandedOver = true
            listeners.pause(poller, until: .never)
        }
    }

    /// The other process has gone away without SHUTDOWN: everything is ours as before.
    mutating func takeBack() {
        isHandedOver = false
        if listeners.resumeAt == .never { listeners.resume(poller) }
    }

    private func fdRows(withState: Bool) -> [FDRow] {
        var rows: [FDRow] = []
        for (descriptor, isUnix, address) in listeners.open {
            let host: ByteString = isUnix ? "unix" : ByteString(SocketAddress(address).host)
            let port = isUnix ? settings.listenPort : address.port
            rows.append(FDRow(.listener(address: host, port: port), descriptor: descriptor))
        }
        // For a reader without `state` a link that has said something and was not answered cannot go.
        let heirlooms = engine.heirlooms(withState: withState)
        var left: Set<LinkID> = []
        if !withState, engine.isSuspended {
            for row in heirlooms {
                guard let link = row.link, connection(link)?.pointee.kept != nil else { continue }
                left.insert(link)
                if let partner = row.partner { left.insert(partner) }
            }
        }
        for heirloom in heirlooms {
            guard let link = heirloom.link else {
                rows.append(FDRow(.heirloom(heirloom), descriptor: 0))
                continue
            }
            guard let place = connection(link), place.pointee.stream == nil, place.pointee.owed == nil,
                !place.pointee.flags.meets(.broken), !left.contains(link)
            else { continue }
            let partner = heirloom.partner.flatMap { connection($0)?.pointee.descriptor } ?? 0
            let kept = place.pointee.kept.map { ByteString($0.view) } ?? ""
            rows.append(
                FDRow(
                    .heirloom(heirloom), descriptor: place.pointee.descriptor, partner: partner, kept: kept))
        }
        return rows
    }

    /// 0, or the errno.
    private static func send(_ view: ByteView, _ passed: Int32, over descriptor: Int32) -> Int32 {
        var rest = view
        var passed = passed
        while !rest.isEmpty {
            let result =
                passed >= 0
                ? linux_send_with_socket(descriptor, rest.base, rest.count, passed)
                : linux_send(descriptor, rest.base, rest.count)
            if result > 0 {
                rest = rest.slice(result)
                passed = -1
                continue
            }
            let error = Int32(truncatingIfNeeded: -result)
            guard error == linux_again || error == linux_no_buffers || error == linux_interrupted else {
                return error
            }
            if linux_wait_ready(descriptor, 1, rowPatience) == 0 { return linux_timed_out }
        }
        return 0
    }

    // MARK: The new process

    /// Goes on with the sessions of the process before.
    mutating func inherit(_ estate: Estate) {
        begin()
        now = MonotonicClock.now()
        var servers: [Int32: ServerID] = [:]
        for row in estate.rows where row.descriptor < 0 { _ = inherit(row, partner: nil) }
        for row in estate.rows where row.descriptor >= 0 && row.heirloom.task == .server {
            if case .server(let server) = inherit(row, partner: nil) { servers[row.number] = server }
        }
        for row in estate.rows where row.descriptor >= 0 && row.heirloom.task == .client {
            _ = inherit(row, partner: servers[row.partner])
        }
        actions.removeAll()
        engine.inheritedAll(now: now, into: &actions)
        carryOut()
        settle()
    }

    private mutating func inherit(_ row: Estate.Row, partner: ServerID?) -> LinkID? {
        if row.descriptor >= 0 { _ = linux_never_block(row.descriptor) }
        arrival = Arrival(baggage: Baggage(descriptor: row.descriptor))
        actions.removeAll()
        let link = engine.inherit(row.heirloom, partner: partner, now: now, into: &actions)
        carryOut()
        if arrival.baggage.descriptor >= 0 { _ = linux_close(arrival.baggage.descriptor) }
        arrival = Arrival()
        guard let link, let place = connection(link) else { return nil }
        offerLater(row.kept, link, place)
        return link
    }

    /// Bytes that came with a link are offered as if it had just sent them.
    mutating func offerLater(
        _ bytes: ByteString, _ link: LinkID, _ place: UnsafeMutablePointer<Connection>
    ) {
        guard !bytes.isEmpty else { return }
        bytes.withView { bytes in
            let block = blocks.take(bytes.count)
            block.append(bytes)
            place.pointee.kept = block
        }
        place.pointee.flags.insert(.offering)
        followUps.append(FollowUp(kind: .offer, link: link.packed))
    }
}
