import CLinux
import Engine
import EventLoop
import Primitives

/// Pieces of output to one link, gathered to be written with one system call.
struct Output: ~Copyable {
    /// More pieces than this make another system call; the kernel's own limit is 1024.
    static var pieceLimit: Int { 64 }
    let pieces: UnsafeMutablePointer<linux_piece>
    var link: UInt64 = 0
    var count = 0
    var bytes = 0

    init() { pieces = .allocate(capacity: Self.pieceLimit) }
    deinit { pieces.deallocate() }

    @inline(__always)
    mutating func add(_ view: ByteView) {
        (pieces + count).initialize(to: linux_piece(base: view.base, count: view.count))
        count &+= 1
        bytes &+= view.count
    }

    mutating func clear() {
        count = 0
        bytes = 0
    }
}

extension Worker where Engine: ~Copyable {
    /// Adds bytes to what is being gathered for this link; they stay valid until the list has been carried
    /// out.
    @inline(__always)
    mutating func put(_ view: ByteView, to link: LinkID) {
        let packed = link.packed
        if output.count > 0, output.link != packed || output.count == Output.pieceLimit { flush() }
        output.link = packed
        if !view.isEmpty { output.add(view) }
    }

    /// Writes what has been gathered.
    @inline(__always)
    mutating func flush() {
        guard output.count > 0 else { return }
        defer { output.clear() }
        let link = LinkID(packed: output.link)
        guard let place = connection(link) else { return }
        if place.pointee.flags.meets(.writesOddly) {
            return place.pointee.flags.meets(.speechless) ? () : encryptOutput(link, place)
        }
        guard place.pointee.owed == nil else { return owe(link, place, from: 0) }
        if ring.isOn, gather(link, place) { return }
        let descriptor = place.pointee.descriptor
        let result =
            output.count == 1
            ? Stream.send(descriptor, output.pieces[0].base, output.pieces[0].count)
            : Stream.send(descriptor, pieces: output.pieces, output.count)
        switch result {
        case .moved(let count) where count == output.bytes: return
        case .moved(let count): owe(link, place, from: count)
        case .wouldBlock: owe(link, place, from: 0)
        case .failed(let error): fail(link, place, error)
        }
    }

    /// Leaves what has been gathered to the ring; `false` when that is so much that it is better written at
    /// once. A link is sent to once in a batch, so that nothing can overtake what the kernel did not take.
    @inline(never)
    private mutating func gather(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) -> Bool {
        let isSmall = output.bytes <= KernelRing.smallBytes
        if place.pointee.batch == ring.batch {
            if isSmall, ring.endsWithSend(to: output.link, takes: output.bytes) {
                ring.lengthen(output.pieces, output.count, bytes: output.bytes)
                return true
            }
            submit()
            if place.pointee.flags.meets(.broken) { return true }
            if place.pointee.owed != nil {
                owe(link, place, from: 0)
                return true
            }
        }
        guard isSmall else { return false }
        if !ring.takes(output.bytes) { submit() }
        place.pointee.batch = ring.batch
        ring.send(
            place.pointee.descriptor, output.pieces, output.count, bytes: output.bytes, word: output.link)
        return true
    }

    /// Queues what the kernel has not taken: everything gathered but the first `taken` bytes.
    @inline(never)
    private mutating func owe(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>, from taken: Int) {
        guard let block = roomToOwe(output.bytes - taken, link, place) else { return }
        var skip = taken
        for index in 0..<output.count {
            let piece = output.pieces[index]
            block.append(ByteView(base: piece.base, count: piece.count).slice(skip))
            skip = max(0, skip - piece.count)
        }
    }

    /// Queues these bytes.
    @inline(never)
    mutating func owe(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ rest: ByteView) {
        roomToOwe(rest.count, link, place)?.append(rest)
    }

    /// Where so many bytes go, behind what is owed to a link; `nil` when that is too much, and the link has
    /// failed.
    private mutating func roomToOwe(
        _ more: Int, _ link: LinkID, _ place: UnsafeMutablePointer<Connection>
    ) -> Block? {
        let old = place.pointee.owed
        guard (old?.count ?? 0) + more <= BlockStore.limitBytes else {
            fail(link, place, linux_no_buffers)
            return nil
        }
        let block = old.map { blocks.makeRoom(for: more, in: $0) } ?? blocks.take(more)
        place.pointee.owed = block
        guard old == nil else { return block }
        place.pointee.flags.insert(.writing)
        updateInterest(link, place)
        followUps.append(FollowUp(kind: .congested, link: link.packed))
        return block
    }

    /// Remembers that a link is broken; the engine hears of it after the list being carried out.
    @inline(never)
    mutating func fail(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ error: Int32) {
        place.pointee.flags.insert(.broken)
        followUps.append(FollowUp(kind: .ended, error: error, link: link.packed))
    }

    /// The kernel takes more of what is owed to a link.
    @inline(never)
    mutating func writeOwed(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        guard let block = place.pointee.owed else { return }
        let view = block.view
        switch Stream.send(place.pointee.descriptor, view.base, view.count) {
        case .moved(let count): block.consume(count)
        case .wouldBlock: return
        case .failed(let error): return end(link, .failed(error))
        }
        guard block.count == 0 else { return }
        place.pointee.owed = nil
        blocks.give(block)
        place.pointee.flags.remove(.writing)
        updateInterest(link, place)
        actions.removeAll()
        engine.drained(link, now: now, into: &actions)
        carryOut()
    }
}
