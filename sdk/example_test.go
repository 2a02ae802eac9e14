package sdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"tutti/api"
	"tutti/sdk"
)

// Ask for a resource, and wait until it is there.
func ExampleCall() {
	ctx := context.Background()
	c, err := sdk.New(sdk.Config{Server: os.Getenv("TUTTI_SERVER"), Token: os.Getenv("TUTTI_TOKEN")})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	r, err := sdk.Call(ctx, c, api.CreateRequest, api.CreateRequestIn{
		Key:  "ticket-4711", // the same key makes the same request, however often it is sent
		Body: api.CreateRequestBody{Entry: "vm", Params: json.RawMessage(`{"name": "web-1", "cpu": 2}`)},
	})
	if err != nil {
		log.Fatal(err)
	}
	for !r.State.Ended() {
		if r, err = sdk.Call(ctx, c, api.GetRequest, api.RequestIn{ID: r.ID, Wait: 30e9}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(r.Name, r.State, string(r.Outputs))
}

// Follow a run and its log until the run's log ends.
func ExampleClient_Stream() {
	c, err := sdk.New(sdk.Config{Token: os.Getenv("TUTTI_TOKEN")})
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range c.Stream(context.Background(), []string{"log:run_7k2m4qzt3c5nw6xd"}, "") {
		if err != nil {
			log.Fatal(err)
		}
		if e.Type != "log" {
			continue
		}
		var line api.LogLine
		if err := json.Unmarshal(e.Data, &line); err != nil {
			log.Fatal(err)
		}
		fmt.Println(line.Task, line.Text)
	}
}
