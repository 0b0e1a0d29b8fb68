import Primitives
import Testing

@testable import Engine

/// Queries and their replies over a server that is shared.
@Suite struct TrafficTests {
    @Test func firstClientWaitsForTheFirstServer() {
        let bench = Bench()
        #expect(bench.connect("A") == ["pause A", "open S1"])
        #expect(bench.reach("S1") == ["send S1: startup(user·u·database·db)"])
        #expect(bench.login("S1").first?.hasPrefix("send A: R") == true)
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }

    @Test func aQueryIsRelayedAndItsServerGivenBack() {
        let bench = Bench.withServer()
        #expect(bench.say("A", query("select 1")) == ["relay S1: Q(select 1)"])
        #expect(bench.state("A") == "active S1")
        #expect(
            bench.say("S1", result("1") + ready) == ["relay A: T D(··1) C(SELECT 1) Z(I)"])
        #expect(bench.state("A") == "idle")
        #expect(bench.state("S1") == "idle")
        bench.finish()
    }
}
