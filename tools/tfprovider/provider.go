package main

import (
	"context"
	"net/url"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/vim25/soap"
)

type vcenterProvider struct{}

func newProvider() provider.Provider { return vcenterProvider{} }

// settings are the arguments of the provider block; each can come from the environment instead.
type settings struct {
	URL      types.String `tfsdk:"url"`
	User     types.String `tfsdk:"user"`
	Password types.String `tfsdk:"password"`
	Insecure types.Bool   `tfsdk:"insecure"`
}

func (vcenterProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "vcenter"
}

func (vcenterProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{Attributes: map[string]schema.Attribute{
		"url":      schema.StringAttribute{Optional: true, Description: "Address of the vCenter, such as https://host/sdk; by default VCENTER_URL"},
		"user":     schema.StringAttribute{Optional: true, Description: "User; by default VCENTER_USER"},
		"password": schema.StringAttribute{Optional: true, Sensitive: true, Description: "Password; by default VCENTER_PASSWORD"},
		"insecure": schema.BoolAttribute{Optional: true, Description: "Accept any certificate; by default whether VCENTER_INSECURE is true"},
	}}
}

// target is where machines are made. A session is opened for each operation: one that is idle for a
// while ends on its own.
type target struct {
	url      *url.URL
	insecure bool
}

func (vcenterProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var s settings
	resp.Diagnostics.Append(req.Config.Get(ctx, &s)...)
	if resp.Diagnostics.HasError() {
		return
	}
	u, err := soap.ParseURL(or(s.URL, "VCENTER_URL"))
	if err != nil || u == nil || u.Host == "" {
		resp.Diagnostics.AddError("The vCenter has no address", "Set url in the provider block, or VCENTER_URL.")
		return
	}
	u.User = url.UserPassword(or(s.User, "VCENTER_USER"), or(s.Password, "VCENTER_PASSWORD"))
	resp.ResourceData = &target{u, s.Insecure.ValueBool() || s.Insecure.IsNull() && os.Getenv("VCENTER_INSECURE") == "true"}
}

func or(v types.String, variable string) string {
	if s := v.ValueString(); s != "" {
		return s
	}
	return os.Getenv(variable)
}

func (vcenterProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return &machine{} }}
}

func (vcenterProvider) DataSources(context.Context) []func() datasource.DataSource { return nil }

// session logs in; the caller calls bye.
func (t *target) session(ctx context.Context) (c *govmomi.Client, bye func(), err error) {
	c, err = govmomi.NewClient(ctx, t.url, t.insecure)
	if err != nil {
		return nil, nil, err
	}
	return c, func() { _ = c.Logout(context.WithoutCancel(ctx)) }, nil
}
