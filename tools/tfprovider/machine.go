package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// machine is the resource vcenter_machine.
type machine struct{ to *target }

var (
	_ resource.ResourceWithConfigure   = (*machine)(nil)
	_ resource.ResourceWithImportState = (*machine)(nil)
)

// model is the resource as Terraform knows it.
type model struct {
	ID         types.String `tfsdk:"id"`
	Name       types.String `tfsdk:"name"`
	Datacenter types.String `tfsdk:"datacenter"`
	Cluster    types.String `tfsdk:"cluster"`
	Datastore  types.String `tfsdk:"datastore"`
	Network    types.String `tfsdk:"network"`
	CPU        types.Int64  `tfsdk:"cpu"`
	MemoryMB   types.Int64  `tfsdk:"memory_mb"`
	DiskGB     types.Int64  `tfsdk:"disk_gb"`
	Guest      types.String `tfsdk:"guest"`
	Key        types.String `tfsdk:"key"`
	Power      types.String `tfsdk:"power_state"`
	Host       types.String `tfsdk:"host"`
}

func (*machine) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_machine"
}

func (*machine) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	text := func(doc string) schema.StringAttribute {
		return schema.StringAttribute{Required: true, Description: doc, PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()}}
	}
	known := func(doc string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, Description: doc, PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()}}
	}
	guest := text("Guest system, as vSphere calls it")
	guest.Required, guest.Optional, guest.Computed, guest.Default = false, true, true, stringdefault.StaticString("otherGuest64")
	resp.Schema = schema.Schema{
		Description: "A virtual machine in a vCenter, turned on.",
		Attributes: map[string]schema.Attribute{
			"id":          known("Managed object ID"),
			"power_state": known("Whether it is on"),
			"host":        known("Host it runs on"),
			"name":        schema.StringAttribute{Required: true, Description: "Name; it can be changed"},
			"datacenter":  text("Datacenter"),
			"cluster":     text("Cluster"),
			"datastore":   text("Datastore of its disk"),
			"network":     text("Network it is connected to"),
			"guest":       guest,
			"cpu":         schema.Int64Attribute{Required: true, Description: "Processors; can be changed"},
			"memory_mb":   schema.Int64Attribute{Required: true, Description: "Memory in MB; can be changed"},
			"disk_gb":     schema.Int64Attribute{Optional: true, Computed: true, Default: int64default.StaticInt64(20), Description: "Disk in GB"},
			"key": schema.StringAttribute{Optional: true, Description: "Whose it is. A machine of the same name and key that a broken-off apply left behind is taken over instead of refused",
				PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()}},
		},
	}
}

func (m *machine) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	if req.ProviderData == nil {
		return // to validate, nothing is configured
	}
	to, ok := req.ProviderData.(*target)
	if !ok {
		resp.Diagnostics.AddError("The provider was not configured", fmt.Sprintf("It gave a %T.", req.ProviderData))
		return
	}
	m.to = to
}

// with runs f in a session, and notes its error.
func (m *machine) with(ctx context.Context, diags *diag.Diagnostics, what string, f func(v *vcenter) error) {
	c, bye, err := m.to.session(ctx)
	if err == nil {
		defer bye()
		err = f(&vcenter{c})
	}
	if err != nil {
		diags.AddError(what, err.Error())
	}
}

func (m *machine) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var want model
	if resp.Diagnostics.Append(req.Plan.Get(ctx, &want)...); resp.Diagnostics.HasError() {
		return
	}
	m.with(ctx, &resp.Diagnostics, "The machine was not created", func(v *vcenter) error {
		have, err := v.create(ctx, want)
		if have.ID.ValueString() != "" { // also where it could not be turned on: it is there
			resp.Diagnostics.Append(resp.State.Set(ctx, have)...)
		}
		return err
	})
}

func (m *machine) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var was model
	if resp.Diagnostics.Append(req.State.Get(ctx, &was)...); resp.Diagnostics.HasError() {
		return
	}
	m.with(ctx, &resp.Diagnostics, "The machine cannot be read", func(v *vcenter) error {
		have, found, err := v.read(ctx, was)
		if err == nil && !found {
			resp.State.RemoveResource(ctx)
		} else if err == nil {
			resp.Diagnostics.Append(resp.State.Set(ctx, have)...)
		}
		return err
	})
}

func (m *machine) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var want, was model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &want)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &was)...)
	if resp.Diagnostics.HasError() {
		return
	}
	m.with(ctx, &resp.Diagnostics, "The machine was not changed", func(v *vcenter) error {
		have, err := v.update(ctx, was, want)
		if err == nil {
			resp.Diagnostics.Append(resp.State.Set(ctx, have)...)
		}
		return err
	})
}

func (m *machine) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var was model
	if resp.Diagnostics.Append(req.State.Get(ctx, &was)...); resp.Diagnostics.HasError() {
		return
	}
	m.with(ctx, &resp.Diagnostics, "The machine was not deleted", func(v *vcenter) error { return v.destroy(ctx, was.ID.ValueString()) })
}

func (*machine) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resource.ImportStatePassthroughID(ctx, path.Root("id"), req, resp)
}
