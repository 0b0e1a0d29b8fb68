import Config

/// O3: whether a server may go from one client to another, judged by the server's own state and by what is on
/// the wire (I2), not by the engine's book-keeping.
struct HandOver {
    let server: SimulatedServer
    let cable: Cable
    /// The engine is looking at what has arrived; what it leaves is checked afterwards.
    let isBeingRead: Bool
    /// Not for a query of the pooler's own that is to clean it.
    let isForClient: Bool
    let mode: PoolMode

    /// What is wrong, or `nil`. To be asked before the new client's first byte is on the wire.
    func check() -> String? {
        // It has died on its way; nobody can know yet.
        if server.phase == .ended { return nil }
        if hasRequests { return "with requests on the way to it" }
        if server.isBusy { return "while a statement ran" }
        let backend = server.backend
        if backend.status != 0x49 { return "in a transaction" }
        if backend.skips { return "while it skipped to Sync" }
        if backend.copy != nil { return "in a COPY" }
        if !backend.running.isEmpty || !backend.portals.isEmpty || backend.hasOpenBatch {
            return "with work to do"
        }
        if !backend.output.isEmpty || hasAnswers(cable.inFlight) || !isBeingRead && hasAnswers(cable.arrived)
        {
            return "with unread answers"
        }
        if mode == .session, isForClient, !backend.statements.isEmpty { return "with prepared statements" }
        return nil
    }

    /// Anything on the way to it but what it ignores outside a COPY: the rest of one that has failed.
    private var hasRequests: Bool {
        var queue = server.backend.input
        queue.append(cable.outgoing.slice(0, cable.outgoing.count))
        while let header = queue.header, header.length <= queue.count {
            guard [0x64, 0x63, 0x66, 0x48].contains(header.kind) else { return true }
            queue.removeFirst(header.length)
        }
        return !queue.isEmpty
    }

    /// Anything but what a server may say at any time.
    private func hasAnswers(_ queue: ByteQueue) -> Bool {
        var offset = 0
        while offset < queue.count {
            guard [0x4E, 0x53, 0x41].contains(queue[offset]), queue.count - offset >= 5 else { return true }
            var length = 0
            for place in 1...4 { length = length << 8 | Int(queue[offset + place]) }
            offset += length + 1
        }
        return false
    }
}
