import CLinux
import Engine
import EventLoop
import Primitives

/// Links whose bytes move through a ring. While one is open and not paused the ring receives from it, and the
/// poller does not know it; the poller watches what is left: servers on their way, links that owe something,
/// and the ends of links that are paused.
extension Worker where Engine: ~Copyable {
    // MARK: Turning

    /// Called by the thread that will drive this worker, before the first turn.
    mutating func begin() {
        guard ring.isOn, !ring.isStarted else { return }
        if ring.start() != 0 { ring = KernelRing(wanted: false) } else { ring.watch(poller) }
    }

    /// One wait and what came of it.
    @inline(never)
    mutating func turnRing(_ wait: TimeSpan?) {
        leave(wait)
        now = MonotonicClock.now()
        settle()
        var rest = ring.ready
        var count = 0
        while rest > 0 {
            if isExiting { return }
            complete(ring.take())
            settle()
            rest &-= 1
            count &+= 1
            if count % Self.eventsPerClockReading == 0 { now = MonotonicClock.now() }
        }
    }

    /// Hands the batch to the kernel, and waits for what comes next.
    @inline(__always)
    private mutating func leave(_ wait: TimeSpan?) {
        ring.blockingWaitForCompletions(wait)
        if ring.isSubmitted { takeFailures() } else { submit() }
    }

    /// Hands the batch to the kernel now.
    @inline(never)
    mutating func submit() {
        ring.submit()
        takeFailures()
    }

    /// What the kernel has not taken of the batch is owed.
    @inline(__always)
    private mutating func takeFailures() {
        while let failure = ring.takeFailure() {
            let link = LinkID(packed: failure.word)
            guard let place = connection(link) else { continue }
            if failure.result >= 0 {
                owe(link, place, failure.bytes.slice(failure.result))
            } else if failure.result == -Int(linux_again) || failure.result == -Int(linux_interrupted) {
                owe(link, place, failure.bytes)
            } else {
                fail(link, place, Int32(truncatingIfNeeded: -failure.result))
            }
        }
        ring.beginBatch()
    }

    @inline(__always)
    private mutating func complete(_ done: linux_completion) {
        if done.word & 1 << 32 != 0 {
            received(done)
            if done.buffer >= 0 { ring.giveBack(done.buffer) }
        } else if KernelRing.isPoll(done.word) {
            turnPoller(.zero)
            makeRoom()
            ring.watch(poller)
        }
    }

    /// There is room for one more request.
    @inline(__always)
    mutating func makeRoom() { if !ring.hasRoom { submit() } }

    /// Before the socket of this link is used otherwise, or closed: what was noted for it leaves.
    @inline(__always)
    mutating func settleRequests(_ place: UnsafeMutablePointer<Connection>) {
        if ring.isOn, place.pointee.batch == ring.batch { submit() }
    }

    // MARK: Receiving

    /// Begins to receive from a link that was never watched; 0 or a negated errno.
    mutating func watch(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) -> Int {
        guard ring.isOn else {
            return poller.add(place.pointee.descriptor, place.pointee.interest, word: link.packed)
        }
        arm(link, place)
        return 0
    }

    /// From here on the ring receives from this link.
    mutating func arm(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        makeRoom()
        place.pointee.flags.insert(.armed)
        place.pointee.batch = ring.batch
        ring.receive(place.pointee.descriptor, word: link.packed)
    }

    @inline(__always)
    private mutating func received(_ done: linux_completion) {
        let link = LinkID(packed: done.word)
        // It died, and its last completions are still coming.
        guard let place = connection(link) else { return }
        if done.goes_on == 0 { place.pointee.flags.subtract([.armed, .cancelling]) }
        if done.result > 0 {
            if done.result == KernelRing.bufferBytes {
                considerPoller(link, place)
            } else {
                place.pointee.doubts = 0
            }
            take(ring.bytes(done.buffer, done.result), of: link, place)
        } else if done.result == 0 {
            return takeEnd(link, place, .endOfFile)
        } else if done.result != -linux_no_buffers && done.result != -linux_canceled {
            return takeEnd(link, place, .failed(-done.result))
        }
        if done.goes_on == 0 { rearm(link) }
    }

    /// The ring receives from it no longer: there were no buffers, or it was paused.
    @inline(never)
    private mutating func rearm(_ link: LinkID) {
        guard let place = connection(link) else { return }
        if place.pointee.flags.meets(.paused) {
            place.pointee.flags.insert(.disarmed)
            updateInterest(link, place)
        } else if place.pointee.flags.meets(.bulky) {
            updateInterest(link, place)
        } else {
            arm(link, place)
        }
    }

    // MARK: Bulk

    /// Reads in a row that must look better the other way before a link goes that way. The price of going
    /// there and back is a few system calls.
    private static var patience: UInt8 { 4 }

    /// A buffer was filled. Many in a row are cheaper to read as they come, with the room of many buffers.
    @inline(never)
    private mutating func considerPoller(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        guard !place.pointee.flags.meets(.bulky) else { return }
        place.pointee.doubts &+= 1
        guard place.pointee.doubts >= Self.patience else { return }
        place.pointee.doubts = 0
        place.pointee.flags.insert(.bulky)
        stopReceiving(link, place)
    }

    /// What the poller told to read was so much.
    mutating func considerRing(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ count: Int
    ) {
        guard count < KernelRing.bufferBytes else {
            place.pointee.doubts = 0
            return
        }
        place.pointee.doubts &+= 1
        guard place.pointee.doubts >= Self.patience else { return }
        place.pointee.doubts = 0
        place.pointee.flags.remove(.bulky)
        arm(link, place)
        updateInterest(link, place)
    }

    /// From here on the poller reads from this link, and nothing that the ring has received of it is lost.
    /// For a socket that is to leave; the engine hears nothing meanwhile.
    mutating func leaveRing(_ link: LinkID) {
        guard let place = connection(link), place.pointee.flags.meets(.armed) else { return }
        place.pointee.flags.insert(.bulky)
        stopReceiving(link, place)
        while place.pointee.flags.meets(.armed) {
            submit()
            while let done = ring.takeCompletion(of: link.packed) {
                if done.goes_on == 0 { place.pointee.flags.subtract([.armed, .cancelling]) }
                guard done.buffer >= 0 else { continue }
                if done.result > 0 { keepMore(ring.bytes(done.buffer, done.result), place) }
                ring.giveBack(done.buffer)
            }
        }
        updateInterest(link, place)
        guard place.pointee.kept != nil, !place.pointee.flags.meets([.paused, .offering]) else { return }
        place.pointee.flags.insert(.offering)
        followUps.append(FollowUp(kind: .offer, link: link.packed))
    }

    private mutating func keepMore(_ bytes: ByteView, _ place: UnsafeMutablePointer<Connection>) {
        let block =
            place.pointee.kept.map { blocks.makeRoom(for: bytes.count, in: $0) } ?? blocks.take(bytes.count)
        block.append(bytes)
        place.pointee.kept = block
    }

    /// The ring's last completion for this link says when it has stopped.
    private mutating func stopReceiving(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        guard place.pointee.flags.meets(.armed), !place.pointee.flags.meets(.cancelling) else { return }
        makeRoom()
        place.pointee.flags.insert(.cancelling)
        ring.cancel(word: link.packed)
    }

    @inline(__always)
    private mutating func take(
        _ bytes: ByteView, of link: LinkID, _ place: UnsafeMutablePointer<Connection>
    ) {
        if place.pointee.kept == nil, !place.pointee.flags.meets(.readsOddly) { return offer(link, bytes) }
        takeOddly(bytes, of: link, place)
    }

    /// Of a link that is paused, encrypted, or keeps something.
    @inline(never)
    private mutating func takeOddly(
        _ bytes: ByteView, of link: LinkID, _ place: UnsafeMutablePointer<Connection>
    ) {
        let flags = place.pointee.flags
        if flags.meets(.paused) { stopReceiving(link, place) }
        if flags.meets(.secured) { return takeEncrypted(bytes, of: link, place) }
        if let kept = place.pointee.kept {
            let count = kept.count + bytes.count
            if kept.count <= Self.prependLimitBytes, count <= Self.receiveBytes, !flags.meets(.paused) {
                receiveRoom.copyMemory(from: kept.view.base, byteCount: kept.count)
                (receiveRoom + kept.count).copyMemory(from: bytes.base, byteCount: bytes.count)
                return offer(link, ByteView(base: receiveRoom, count: count))
            }
            guard count <= BlockStore.limitBytes else { return end(link, .failed(linux_no_memory)) }
            let block = blocks.makeRoom(for: bytes.count, in: kept)
            block.append(bytes)
            place.pointee.kept = block
            if !flags.meets(.paused) { offerKept(link, place) }
        } else if flags.meets(.paused) {
            let block = blocks.take(bytes.count)
            block.append(bytes)
            place.pointee.kept = block
        }
    }

    /// There will be no more bytes.
    @inline(never)
    private mutating func takeEnd(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ how: LinkEnd
    ) {
        // A paused server's last words are still to be used; reading on will tell again.
        if place.pointee.flags.meets(.paused), case .server = link {
            place.pointee.flags.formUnion([.disarmed, .endSeen])
            return updateInterest(link, place)
        }
        end(link, how)
    }
}
